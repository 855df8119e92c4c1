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

include $(dir $(lastword $(MAKEFILE_LIST)))quote.mk
$(call CARRIED,SOURCE DATA OUT)
$(call ONE_LINE,SOURCE_PATH FEATURES)

ON     := --device $(call Q,$(DEVICE))
SEEDED := --seed $(call Q,$(SEED))
REF    := --ref $(call Q,$(DATA)) --split $(call Q,$(REF_SPLIT)) -n $(call Q,$(N))

.PHONY: all
# make deletes the targets of an interrupted command unless they are precious. These are: genrev writes each of them whole or not at all.
.PRECIOUS: $(DATA) $(addprefix $(OUT)/,transport.safetensors samples.png traversals.png fid.json report.html)
all: $(OUT)/report.html

$(DATA):
	$(GENREV) prepare-data $(call Q,$(SOURCE)) $(call OPTION,--path,SOURCE_PATH) $(PREPARE) --out $(TO)

$(OUT)/transport.safetensors: $(DATA)
	$(GENREV) train-ot --data $(FROM) $(SEEDED) $(TRANSPORT) $(ON) --out $(TO)

$(OUT)/samples.png: $(OUT)/transport.safetensors
	$(GENREV) sample --ckpt $(FROM) -n 60 --class $(call Q,$(CLASSES)) $(SEEDED) $(ON) --out $(call Q,$(OUT)/samples-60.h5) --grid $(TO)

$(OUT)/traversals.png: $(OUT)/transport.safetensors
	$(GENREV) traverse --ckpt $(FROM) --count 3 $(ON) --out $(TO)

$(OUT)/fid.json: $(OUT)/transport.safetensors $(DATA)
	$(GENREV) fid --ckpt $(FROM) $(REF) $(SEEDED) $(call OPTION,--features,FEATURES) $(ON) --out $(TO)

$(OUT)/report.html: $(OUT)/samples.png $(OUT)/traversals.png $(OUT)/fid.json $(OUT)/transport.safetensors
	$(GENREV) report $(ALL) --title $(call Q,Reversible network by optimal transport: $(SOURCE)) --out $(TO)
