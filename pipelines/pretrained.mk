# Make the model that comes with genrev: a reversible network trained on MNIST, with directions of its codes and a transport map.
# 'make pretrained' needs MNIST's four files in data/raw/mnist (or PREPARE="--path FOLDER", or PREPARE=--download). It writes
# genrev_cli/pretrained/.
#
# The weights are rounded to 16 bits, for half the size. Codes, directions, map and scores are those of the rounded network.

DATA        ?= data/mnist.h5
SOME        ?= data/mnist-4000.h5
OUT         ?= runs/pretrained
INTO        ?= genrev_cli/pretrained
SEED        ?= 0
DEVICE      ?= auto
PREPARE     ?=
PRETRAIN    ?= --steps 5000
ADVERSARIAL ?= --steps 1500
GENREV      ?= genrev

include $(dir $(lastword $(MAKEFILE_LIST)))quote.mk
$(call CARRIED,DATA SOME OUT INTO)

ON     := --device $(call Q,$(DEVICE))
SEEDED := --seed $(call Q,$(SEED))
MADE   := $(addprefix $(INTO)/,mnist.safetensors mnist-directions.safetensors mnist-ot.safetensors)

.PHONY: all
# make deletes the targets of an interrupted command unless they are precious. These are: genrev writes each of them whole or not at all.
.PRECIOUS: $(DATA) $(SOME) $(MADE) $(addprefix $(OUT)/,recon.safetensors adversarial.safetensors half.safetensors classifier.safetensors \
	codes.h5 some-codes.h5 directions.safetensors ot.safetensors fid.json fid-ot.json)
all: $(MADE)

$(DATA):
	$(GENREV) prepare-data mnist $(PREPARE) --out $(TO)

$(SOME):
	$(GENREV) prepare-data mnist $(PREPARE) --limit 4000 --out $(TO)

$(OUT)/recon.safetensors: $(DATA)
	$(GENREV) pretrain-recon --data $(FROM) $(SEEDED) $(PRETRAIN) $(ON) --out $(TO)

$(OUT)/adversarial.safetensors: $(OUT)/recon.safetensors
	$(GENREV) train-adversarial --ckpt $(FROM) $(SEEDED) $(ADVERSARIAL) $(ON) --out $(TO)

$(OUT)/half.safetensors: $(OUT)/adversarial.safetensors
	$(GENREV) info $(FROM) --strip --half --out $(TO)

$(OUT)/classifier.safetensors: $(DATA)
	$(GENREV) fit-features --data $(FROM) --epochs 3 $(SEEDED) $(ON) --out $(TO)

$(OUT)/codes.h5: $(OUT)/half.safetensors $(DATA)
	$(GENREV) encode --ckpt $(FROM) --data $(call Q,$(DATA)) $(ON) --out $(TO)

$(OUT)/some-codes.h5: $(OUT)/half.safetensors $(SOME)
	$(GENREV) encode --ckpt $(FROM) --data $(call Q,$(SOME)) $(ON) --out $(TO)

$(OUT)/directions.safetensors: $(OUT)/codes.h5
	$(GENREV) fit-directions $(FROM) --method means,pca --components 6 $(SEEDED) --out $(TO)

$(OUT)/ot.safetensors: $(OUT)/some-codes.h5
	$(GENREV) fit-ot $(FROM) $(SEEDED) $(ON) --out $(TO)

$(OUT)/fid.json: $(OUT)/half.safetensors $(OUT)/classifier.safetensors $(DATA)
	$(GENREV) fid --ckpt $(FROM) --ref $(call Q,$(DATA)) --split test -n 5000 --features $(call Q,$(OUT)/classifier.safetensors) \
		--metrics fid,prdc,recon $(SEEDED) $(ON) --out $(TO)

$(OUT)/fid-ot.json: $(OUT)/half.safetensors $(OUT)/ot.safetensors $(OUT)/classifier.safetensors $(DATA)
	$(GENREV) fid --ckpt $(FROM) --ot $(call Q,$(OUT)/ot.safetensors) --ref $(call Q,$(DATA)) --split test -n 5000 \
		--features $(call Q,$(OUT)/classifier.safetensors) --metrics fid,prdc $(SEEDED) $(ON) --out $(TO)

$(INTO)/mnist.safetensors: $(OUT)/half.safetensors $(OUT)/fid.json $(OUT)/fid-ot.json
	rm -f $(TO)
	$(GENREV) info $(FROM) --strip --score $(call Q,$(OUT)/fid.json) --score $(call Q,$(OUT)/fid-ot.json) --out $(TO)

$(INTO)/mnist-%.safetensors: $(OUT)/%.safetensors
	rm -f $(TO)
	$(GENREV) info $(FROM) --strip --out $(TO)
