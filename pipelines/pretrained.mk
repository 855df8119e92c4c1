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
PRETRAIN    ?= --batch 125 --steps 5000 --ema-halflife-images 10000
ADVERSARIAL ?= --batch 125 --steps 1500 --ema-halflife-images 10000
GENREV      ?= genrev

ON   := --device $(DEVICE)
MADE := $(addprefix $(INTO)/,mnist.safetensors mnist-directions.safetensors mnist-ot.safetensors)

.PHONY: all
.DELETE_ON_ERROR:
all: $(MADE)

$(DATA):
	$(GENREV) prepare-data mnist $(PREPARE) --out $@

$(SOME):
	$(GENREV) prepare-data mnist $(PREPARE) --limit 4000 --out $@

$(OUT)/recon.safetensors: $(DATA)
	$(GENREV) pretrain-recon --data $< --seed $(SEED) $(PRETRAIN) $(ON) --out $@

$(OUT)/adversarial.safetensors: $(OUT)/recon.safetensors
	$(GENREV) train-adversarial --ckpt $< --seed $(SEED) $(ADVERSARIAL) $(ON) --out $@

$(OUT)/half.safetensors: $(OUT)/adversarial.safetensors
	$(GENREV) info $< --strip --half --out $@

$(OUT)/classifier.safetensors: $(DATA)
	$(GENREV) fit-features --data $< --epochs 3 --seed $(SEED) $(ON) --out $@

$(OUT)/codes.h5: $(OUT)/half.safetensors $(DATA)
	$(GENREV) encode --ckpt $< --data $(DATA) $(ON) --out $@

$(OUT)/some-codes.h5: $(OUT)/half.safetensors $(SOME)
	$(GENREV) encode --ckpt $< --data $(SOME) $(ON) --out $@

$(OUT)/directions.safetensors: $(OUT)/codes.h5
	$(GENREV) fit-directions $< --method means,pca --components 6 --seed $(SEED) --out $@

$(OUT)/ot.safetensors: $(OUT)/some-codes.h5
	$(GENREV) fit-ot $< --seed $(SEED) $(ON) --out $@

$(OUT)/fid.json: $(OUT)/half.safetensors $(OUT)/classifier.safetensors $(DATA)
	$(GENREV) fid --ckpt $< --ref $(DATA) --split test -n 5000 --features $(OUT)/classifier.safetensors --metrics fid,prdc,recon \
		--seed $(SEED) $(ON) --out $@

$(OUT)/fid-ot.json: $(OUT)/half.safetensors $(OUT)/ot.safetensors $(OUT)/classifier.safetensors $(DATA)
	$(GENREV) fid --ckpt $< --ot $(OUT)/ot.safetensors --ref $(DATA) --split test -n 5000 --features $(OUT)/classifier.safetensors \
		--metrics fid,prdc --seed $(SEED) $(ON) --out $@

$(INTO)/mnist.safetensors: $(OUT)/half.safetensors $(OUT)/fid.json $(OUT)/fid-ot.json
	rm -f $@
	$(GENREV) info $< --strip --score $(OUT)/fid.json --score $(OUT)/fid-ot.json --out $@

$(INTO)/mnist-%.safetensors: $(OUT)/%.safetensors
	rm -f $@
	$(GENREV) info $< --strip --out $@
