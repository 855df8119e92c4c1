# Measure how much a result depends on the seed (Schirrmeister et al. 2018, Figure 10): train the adversarial phase from one pretrained
# network with several seeds, which decide the order of images, the adversary's weights and the prior samples. Then write one page with
# mean ± standard deviation and all curves.
#
# make -f pipelines/seeds.mk CKPT=runs/mnist/recon.safetensors SEEDS="0 1 2 3" EVAL_EVERY=200 DEVICE=cuda
#
# The seeds are independent: -j 4 runs four at a time. Each run resumes where it was stopped.

CKPT          ?= runs/digits/recon.safetensors
SEEDS         ?= 0 1 2 3
OUT           ?= $(dir $(CKPT))seeds
REF           ?=
FEATURES      ?= inception
N             ?= 5000
EVAL_EVERY    ?= 200
DEVICE        ?= auto
ADVERSARIAL   ?=
COMPARE       ?=
GENREV        ?= genrev

RUNS := $(patsubst %,$(OUT)/seed-%.safetensors,$(SEEDS))

.PHONY: all
.DELETE_ON_ERROR:
all: $(OUT)/compare.html

$(OUT)/seed-%.safetensors: $(CKPT)
	$(GENREV) train-adversarial --ckpt $< --seed $* --eval-every $(EVAL_EVERY) --eval-n $(N) --eval-features $(FEATURES) \
		$(ADVERSARIAL) --device $(DEVICE) --out $@

$(OUT)/compare.html: $(CKPT) $(RUNS)
	$(GENREV) compare $^ $(if $(REF),--ref $(REF)) -n $(N) --features $(FEATURES) $(COMPARE) --device $(DEVICE) \
		--title "Several seeds from one pretrained network" --out $@
