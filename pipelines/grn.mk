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

ON       := --device $(DEVICE)
PICTURES := $(addprefix $(OUT)/,samples.png samples-ot.png reconstructions.png interpolations.png interpolations-full.png \
	interpolations-ot.png traversals.png edits.png)
SCORES   := $(addprefix $(OUT)/,fid-pretrained.json fid.json fid-ot.json)

.PHONY: all
.DELETE_ON_ERROR:
all: $(OUT)/report.html

$(DATA):
	$(GENREV) prepare-data $(SOURCE) $(if $(SOURCE_PATH),--path $(SOURCE_PATH)) $(PREPARE) --out $@

$(OUT)/recon.safetensors: $(DATA)
	$(GENREV) pretrain-recon --data $< $(if $(RECIPE),--recipe $(RECIPE)) --seed $(SEED) $(PRETRAIN) $(ON) --out $@

$(OUT)/adversarial.safetensors: $(OUT)/recon.safetensors
	$(GENREV) train-adversarial --ckpt $< --seed $(SEED) $(ADVERSARIAL) $(ON) --out $@

$(OUT)/codes.h5: $(OUT)/adversarial.safetensors
	$(GENREV) encode --ckpt $< $(ON) --out $@

$(OUT)/ot.safetensors: $(OUT)/codes.h5
	$(GENREV) fit-ot $< --seed $(SEED) $(ON) --out $@

$(OUT)/directions.safetensors: $(OUT)/codes.h5
	$(GENREV) fit-directions $< --seed $(SEED) $(ON) --out $@

# make cannot use the time of a folder, so the header file in it stands for the folder
$(OUT)/samples/genrev.json: $(OUT)/adversarial.safetensors
	$(GENREV) sample --ckpt $< -n $(N) --seed $(SEED) $(ON) --out $(@D)

$(OUT)/samples.png: $(OUT)/adversarial.safetensors
	$(GENREV) sample --ckpt $< -n 64 --seed $(SEED) $(ON) --out $(OUT)/samples-64.h5 --grid $@

$(OUT)/samples-ot.png: $(OUT)/adversarial.safetensors $(OUT)/ot.safetensors
	$(GENREV) sample --ckpt $< --ot $(OUT)/ot.safetensors -n 64 --seed $(SEED) $(ON) --out $(OUT)/samples-ot-64.h5 --grid $@

$(OUT)/samples-pretrained.h5: $(OUT)/recon.safetensors
	$(GENREV) sample --ckpt $< -n $(N) --seed $(SEED) $(ON) --out $@

$(OUT)/reconstructions.png: $(OUT)/adversarial.safetensors
	$(GENREV) reconstruct --ckpt $< $(ON) --out $@

$(OUT)/interpolations.png: $(OUT)/adversarial.safetensors
	$(GENREV) interpolate --ckpt $< $(ON) --out $@

$(OUT)/interpolations-full.png: $(OUT)/adversarial.safetensors
	$(GENREV) interpolate --ckpt $< --latent full $(ON) --out $@

$(OUT)/interpolations-ot.png: $(OUT)/adversarial.safetensors $(OUT)/ot.safetensors
	$(GENREV) interpolate --ckpt $< --ot $(OUT)/ot.safetensors $(ON) --out $@

$(OUT)/traversals.png: $(OUT)/adversarial.safetensors
	$(GENREV) traverse --ckpt $< --around 0 $(ON) --out $@

$(OUT)/edits.png: $(OUT)/adversarial.safetensors $(OUT)/directions.safetensors
	$(GENREV) edit $(EDITED) --ckpt $< --directions $(OUT)/directions.safetensors $(EDIT) --steps 7 $(ON) --out $@

$(OUT)/fid.json: $(OUT)/samples/genrev.json $(DATA)
	$(GENREV) fid $(<D) --ref $(DATA) --split $(REF_SPLIT) -n $(N) --features $(FEATURES) $(ON) --out $@

$(OUT)/fid-pretrained.json: $(OUT)/samples-pretrained.h5 $(DATA)
	$(GENREV) fid $< --ref $(DATA) --split $(REF_SPLIT) -n $(N) --features $(FEATURES) $(ON) --out $@

$(OUT)/fid-ot.json: $(OUT)/adversarial.safetensors $(OUT)/ot.safetensors $(DATA)
	$(GENREV) fid --ckpt $< --ot $(OUT)/ot.safetensors --ref $(DATA) --split $(REF_SPLIT) -n $(N) --seed $(SEED) --features $(FEATURES) $(ON) --out $@

$(OUT)/report.html: $(PICTURES) $(SCORES) $(OUT)/codes.h5 $(OUT)/recon.safetensors $(OUT)/adversarial.safetensors
	$(GENREV) report $^ --title "Generative reversible network: $(SOURCE)" --out $@
