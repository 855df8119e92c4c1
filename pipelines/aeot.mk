# AE-OT and AE-OT-GAN, from raw images to scores and a page:
#
#   prepare-data → pretrain-recon → encode → fit-ot → train-gan → sample → interpolate → fid → report
#
# make -f pipelines/aeot.mk SOURCE=mnist SOURCE_PATH=raw/mnist FEATURES=features.safetensors DEVICE=cuda
#
# It scores samples of the same decoder with codes from a mixture of Gaussians, from the transport map and, with PRIOR=yes, from its own
# prior. It also scores the generator that is trained on the codes of the map.

SOURCE      ?= digits
SOURCE_PATH ?=
DATA        ?= data/$(SOURCE).h5
OUT         ?= runs/$(SOURCE)-aeot
RECIPE      ?= aeotgan
FEATURES    ?= inception
REF_SPLIT   ?= test
N           ?= 10000
SEED        ?= 0
DEVICE      ?= auto
PREPARE     ?=
PRETRAIN    ?=
OT          ?=
GAN         ?=
PRIOR       ?=
GENREV      ?= genrev

ON       := --device $(DEVICE)
AE       := $(OUT)/ae.safetensors
MAP      := $(OUT)/ot.safetensors
MIX      := $(OUT)/gmm.safetensors
G        := $(OUT)/gan.safetensors
SCORE     = $(GENREV) fid --ckpt $< --ref $(DATA) --split $(REF_SPLIT) -n $(N) --seed $(SEED) --features $(FEATURES) $(ON) --out $@
PICTURES := $(addprefix $(OUT)/,samples-ae.png samples-gan.png reconstructions-ae.png reconstructions-gan.png interpolations.png)
SCORES   := $(addprefix $(OUT)/,$(if $(PRIOR),fid-ae-prior.json) fid-ae-gmm.json fid-ae-ot.json fid-gan-ot.json)

.PHONY: all
.DELETE_ON_ERROR:
all: $(OUT)/report.html

$(DATA):
	$(GENREV) prepare-data $(SOURCE) $(if $(SOURCE_PATH),--path $(SOURCE_PATH)) $(PREPARE) --out $@

$(AE): $(DATA)
	$(GENREV) pretrain-recon --data $< --recipe $(RECIPE) --seed $(SEED) $(PRETRAIN) $(ON) --out $@

$(OUT)/codes.h5: $(AE)
	$(GENREV) encode --ckpt $< $(ON) --out $@

$(MAP): $(OUT)/codes.h5
	$(GENREV) fit-ot $< --seed $(SEED) $(OT) $(ON) --out $@

$(MIX): $(OUT)/codes.h5
	$(GENREV) fit-gmm $< --seed $(SEED) --out $@

$(G): $(AE) $(MAP)
	$(GENREV) train-gan --ckpt $< --ot $(MAP) --seed $(SEED) $(GAN) $(ON) --out $@

$(OUT)/samples-%.png: $(OUT)/%.safetensors $(MAP)
	$(GENREV) sample --ckpt $< --ot $(MAP) -n 64 --seed $(SEED) $(ON) --out $(@:.png=.h5) --grid $@

$(OUT)/reconstructions-%.png: $(OUT)/%.safetensors
	$(GENREV) reconstruct --ckpt $< $(ON) --out $@

$(OUT)/interpolations.png: $(G) $(MAP)
	$(GENREV) interpolate --ckpt $< --ot $(MAP) $(ON) --out $@

$(OUT)/fid-ae-prior.json: $(AE) $(DATA)
	$(SCORE)

$(OUT)/fid-ae-gmm.json: $(AE) $(MIX) $(DATA)
	$(SCORE) --gmm $(MIX)

$(OUT)/fid-ae-ot.json: $(AE) $(MAP) $(DATA)
	$(SCORE) --ot $(MAP)

$(OUT)/fid-gan-ot.json: $(G) $(MAP) $(DATA)
	$(SCORE) --ot $(MAP)

$(OUT)/report.html: $(PICTURES) $(SCORES) $(OUT)/codes.h5 $(MAP) $(AE) $(G)
	$(GENREV) report $^ --title "AE-OT-GAN: $(SOURCE)" --out $@
