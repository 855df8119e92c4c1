# Generative reversible networks, from raw images to a score and a page:
#
#   prepare-data → pretrain-recon → train-adversarial → encode → fit-ot, fit-directions → sample → reconstruct → interpolate → traverse →
#   edit → fid → report
#
# Samples are drawn from the prior and from a transport map fitted to the data's codes. EDITED are the images of the test split that are
# edited, EDIT is what is done to them.
#
# make -f pipelines/grn.mk SOURCE=celeba SOURCE_PATH=raw/celeba N=10000 DEVICE=cuda
#
# Every target depends on the files that it is made from: a second make does nothing, a deleted file is made again, and an
# interrupted training resumes.

SOURCE      ?= digits
SOURCE_PATH ?=
DATA        ?= data/$(SOURCE).h5
OUT         ?= runs/$(SOURCE)
RECIPE      ?=
FEATURES    ?= inception
REF_SPLIT   ?= test
N           ?= 10000
SEED        ?= 0
DEVICE      ?= auto
PREPARE     ?=
PRETRAIN    ?=
ADVERSARIAL ?=
EDIT        ?= --move pc1=+3
EDITED      ?= 0 1 2 3 4 5
GENREV      ?= genrev

include $(dir $(lastword $(MAKEFILE_LIST)))quote.mk
$(call CARRIED,SOURCE DATA OUT)
$(call ONE_LINE,SOURCE_PATH RECIPE FEATURES)

ON       := --device $(call Q,$(DEVICE))
SEEDED   := --seed $(call Q,$(SEED))
REF      := --ref $(call Q,$(DATA)) --split $(call Q,$(REF_SPLIT)) -n $(call Q,$(N))
PICTURES := $(addprefix $(OUT)/,samples.png samples-ot.png reconstructions.png interpolations.png interpolations-full.png \
	interpolations-ot.png traversals.png edits.png)
SCORES   := $(addprefix $(OUT)/,fid-pretrained.json fid.json fid-ot.json)

.PHONY: all
# make deletes the targets of an interrupted command unless they are precious. These are: genrev writes each of them whole or not at all.
.PRECIOUS: $(DATA) $(PICTURES) $(SCORES) $(addprefix $(OUT)/,recon.safetensors adversarial.safetensors codes.h5 ot.safetensors \
	directions.safetensors samples/genrev.json samples-pretrained.h5 report.html)
all: $(OUT)/report.html

$(DATA):
	$(GENREV) prepare-data $(call Q,$(SOURCE)) $(call OPTION,--path,SOURCE_PATH) $(PREPARE) --out $(TO)

$(OUT)/recon.safetensors: $(DATA)
	$(GENREV) pretrain-recon --data $(FROM) $(call OPTION,--recipe,RECIPE) $(SEEDED) $(PRETRAIN) $(ON) --out $(TO)

$(OUT)/adversarial.safetensors: $(OUT)/recon.safetensors
	$(GENREV) train-adversarial --ckpt $(FROM) $(SEEDED) $(ADVERSARIAL) $(ON) --out $(TO)

$(OUT)/codes.h5: $(OUT)/adversarial.safetensors
	$(GENREV) encode --ckpt $(FROM) $(ON) --out $(TO)

$(OUT)/ot.safetensors: $(OUT)/codes.h5
	$(GENREV) fit-ot $(FROM) $(SEEDED) $(ON) --out $(TO)

$(OUT)/directions.safetensors: $(OUT)/codes.h5
	$(GENREV) fit-directions $(FROM) $(SEEDED) $(ON) --out $(TO)

# make cannot use the time of a folder, so the header file in it stands for the folder
$(OUT)/samples/genrev.json: $(OUT)/adversarial.safetensors
	$(GENREV) sample --ckpt $(FROM) -n $(call Q,$(N)) $(SEEDED) $(ON) --out $(call Q,$(@D))

$(OUT)/samples.png: $(OUT)/adversarial.safetensors
	$(GENREV) sample --ckpt $(FROM) -n 64 $(SEEDED) $(ON) --out $(call Q,$(OUT)/samples-64.h5) --grid $(TO)

$(OUT)/samples-ot.png: $(OUT)/adversarial.safetensors $(OUT)/ot.safetensors
	$(GENREV) sample --ckpt $(FROM) --ot $(call Q,$(OUT)/ot.safetensors) -n 64 $(SEEDED) $(ON) --out $(call Q,$(OUT)/samples-ot-64.h5) --grid $(TO)

$(OUT)/samples-pretrained.h5: $(OUT)/recon.safetensors
	$(GENREV) sample --ckpt $(FROM) -n $(call Q,$(N)) $(SEEDED) $(ON) --out $(TO)

$(OUT)/reconstructions.png: $(OUT)/adversarial.safetensors
	$(GENREV) reconstruct --ckpt $(FROM) $(ON) --out $(TO)

$(OUT)/interpolations.png: $(OUT)/adversarial.safetensors
	$(GENREV) interpolate --ckpt $(FROM) $(ON) --out $(TO)

$(OUT)/interpolations-full.png: $(OUT)/adversarial.safetensors
	$(GENREV) interpolate --ckpt $(FROM) --latent full $(ON) --out $(TO)

$(OUT)/interpolations-ot.png: $(OUT)/adversarial.safetensors $(OUT)/ot.safetensors
	$(GENREV) interpolate --ckpt $(FROM) --ot $(call Q,$(OUT)/ot.safetensors) $(ON) --out $(TO)

$(OUT)/traversals.png: $(OUT)/adversarial.safetensors
	$(GENREV) traverse --ckpt $(FROM) --around 0 $(ON) --out $(TO)

$(OUT)/edits.png: $(OUT)/adversarial.safetensors $(OUT)/directions.safetensors
	$(GENREV) edit $(EDITED) --ckpt $(FROM) --directions $(call Q,$(OUT)/directions.safetensors) $(EDIT) --steps 7 $(ON) --out $(TO)

$(OUT)/fid.json: $(OUT)/samples/genrev.json $(DATA)
	$(GENREV) fid $(call Q,$(<D)) $(REF) $(call OPTION,--features,FEATURES) $(ON) --out $(TO)

$(OUT)/fid-pretrained.json: $(OUT)/samples-pretrained.h5 $(DATA)
	$(GENREV) fid $(FROM) $(REF) $(call OPTION,--features,FEATURES) $(ON) --out $(TO)

$(OUT)/fid-ot.json: $(OUT)/adversarial.safetensors $(OUT)/ot.safetensors $(DATA)
	$(GENREV) fid --ckpt $(FROM) --ot $(call Q,$(OUT)/ot.safetensors) $(REF) $(SEEDED) $(call OPTION,--features,FEATURES) $(ON) --out $(TO)

$(OUT)/report.html: $(PICTURES) $(SCORES) $(OUT)/codes.h5 $(OUT)/recon.safetensors $(OUT)/adversarial.safetensors $(DATA)
	$(GENREV) report $(ALL) --title $(call Q,Generative reversible network: $(SOURCE)) --out $(TO)
