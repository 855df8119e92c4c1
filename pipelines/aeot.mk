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

include $(dir $(lastword $(MAKEFILE_LIST)))quote.mk
$(call CARRIED,SOURCE DATA OUT)
$(call ONE_LINE,SOURCE_PATH RECIPE FEATURES)

ON       := --device $(call Q,$(DEVICE))
SEEDED   := --seed $(call Q,$(SEED))
REF      := --ref $(call Q,$(DATA)) --split $(call Q,$(REF_SPLIT)) -n $(call Q,$(N))
AE       := $(OUT)/ae.safetensors
MAP      := $(OUT)/ot.safetensors
MIX      := $(OUT)/gmm.safetensors
G        := $(OUT)/gan.safetensors
SCORE     = $(GENREV) fid --ckpt $(FROM) $(REF) $(SEEDED) $(call OPTION,--features,FEATURES) $(ON) --out $(TO)
PICTURES := $(addprefix $(OUT)/,samples-ae.png samples-gan.png reconstructions-ae.png reconstructions-gan.png interpolations.png)
SCORES   := $(addprefix $(OUT)/,$(if $(PRIOR),fid-ae-prior.json) fid-ae-gmm.json fid-ae-ot.json fid-gan-ot.json)

.PHONY: all
# make deletes the targets of an interrupted command unless they are precious. These are: genrev writes each of them whole or not at all.
.PRECIOUS: $(DATA) $(AE) $(MAP) $(MIX) $(G) $(PICTURES) $(SCORES) $(OUT)/codes.h5 $(OUT)/report.html
all: $(OUT)/report.html

$(DATA):
	$(GENREV) prepare-data $(call Q,$(SOURCE)) $(call OPTION,--path,SOURCE_PATH) $(PREPARE) --out $(TO)

$(AE): $(DATA)
	$(GENREV) pretrain-recon --data $(FROM) $(call OPTION,--recipe,RECIPE) $(SEEDED) $(PRETRAIN) $(ON) --out $(TO)

$(OUT)/codes.h5: $(AE)
	$(GENREV) encode --ckpt $(FROM) $(ON) --out $(TO)

$(MAP): $(OUT)/codes.h5
	$(GENREV) fit-ot $(FROM) $(SEEDED) $(OT) $(ON) --out $(TO)

$(MIX): $(OUT)/codes.h5
	$(GENREV) fit-gmm $(FROM) $(SEEDED) --out $(TO)

$(G): $(AE) $(MAP)
	$(GENREV) train-gan --ckpt $(FROM) --ot $(call Q,$(MAP)) $(SEEDED) $(GAN) $(ON) --out $(TO)

$(OUT)/samples-%.png: $(OUT)/%.safetensors $(MAP)
	$(GENREV) sample --ckpt $(FROM) --ot $(call Q,$(MAP)) -n 64 $(SEEDED) $(ON) --out $(call Q,$(@:.png=.h5)) --grid $(TO)

$(OUT)/reconstructions-%.png: $(OUT)/%.safetensors
	$(GENREV) reconstruct --ckpt $(FROM) $(ON) --out $(TO)

$(OUT)/interpolations.png: $(G) $(MAP)
	$(GENREV) interpolate --ckpt $(FROM) --ot $(call Q,$(MAP)) $(ON) --out $(TO)

$(OUT)/fid-ae-prior.json: $(AE) $(DATA)
	$(SCORE)

$(OUT)/fid-ae-gmm.json: $(AE) $(MIX) $(DATA)
	$(SCORE) --gmm $(call Q,$(MIX))

$(OUT)/fid-ae-ot.json: $(AE) $(MAP) $(DATA)
	$(SCORE) --ot $(call Q,$(MAP))

$(OUT)/fid-gan-ot.json: $(G) $(MAP) $(DATA)
	$(SCORE) --ot $(call Q,$(MAP))

$(OUT)/report.html: $(PICTURES) $(SCORES) $(OUT)/codes.h5 $(MAP) $(AE) $(G)
	$(GENREV) report $(ALL) --title $(call Q,AE-OT-GAN: $(SOURCE)) --out $(TO)
