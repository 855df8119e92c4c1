# Generative reversible network trained with a transport loss (Schirrmeister et al. 2018, section 3.2, Figures 11 and 12):
#
#   prepare-data → train-ot → sample by class → traverse → fid → report
#
# make -f pipelines/grn-ot.mk SOURCE=mnist SOURCE_PATH=raw/mnist FEATURES=features.safetensors DEVICE=cuda

SOURCE      ?= digits
SOURCE_PATH ?=
DATA        ?= data/$(SOURCE).h5
OUT         ?= runs/$(SOURCE)-ot
CLASSES     ?= 0,1,2,3,4,5,6,7,8,9
FEATURES    ?= inception
REF_SPLIT   ?= test
N           ?= 10000
SEED        ?= 0
DEVICE      ?= auto
PREPARE     ?=
TRANSPORT   ?=
GENREV      ?= genrev

ON := --device $(DEVICE)

.PHONY: all
.DELETE_ON_ERROR:
all: $(OUT)/report.html

$(DATA):
	$(GENREV) prepare-data $(SOURCE) $(if $(SOURCE_PATH),--path $(SOURCE_PATH)) $(PREPARE) --out $@

$(OUT)/transport.safetensors: $(DATA)
	$(GENREV) train-ot --data $< --seed $(SEED) $(TRANSPORT) $(ON) --out $@

$(OUT)/samples.png: $(OUT)/transport.safetensors
	$(GENREV) sample --ckpt $< -n 60 --class $(CLASSES) --seed $(SEED) $(ON) --out $(OUT)/samples-60.h5 --grid $@

$(OUT)/traversals.png: $(OUT)/transport.safetensors
	$(GENREV) traverse --ckpt $< --count 3 $(ON) --out $@

$(OUT)/fid.json: $(OUT)/transport.safetensors $(DATA)
	$(GENREV) fid --ckpt $< --ref $(DATA) --split $(REF_SPLIT) -n $(N) --seed $(SEED) --features $(FEATURES) $(ON) --out $@

$(OUT)/report.html: $(OUT)/samples.png $(OUT)/traversals.png $(OUT)/fid.json $(OUT)/transport.safetensors
	$(GENREV) report $^ --title "Reversible network by optimal transport: $(SOURCE)" --out $@
