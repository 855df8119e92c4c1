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

include $(dir $(lastword $(MAKEFILE_LIST)))quote.mk
$(call CARRIED,CKPT OUT)
$(call ONE_LINE,REF FEATURES)

RUNS := $(patsubst %,$(OUT)/seed-%.safetensors,$(SEEDS))

.PHONY: all
# make deletes the targets of an interrupted command unless they are precious. These are: genrev writes each of them whole or not at all.
.PRECIOUS: $(RUNS) $(OUT)/compare.html
all: $(OUT)/compare.html

$(OUT)/seed-%.safetensors: $(CKPT)
	$(GENREV) train-adversarial --ckpt $(FROM) --seed $(call Q,$*) --eval-every $(call Q,$(EVAL_EVERY)) --eval-n $(call Q,$(N)) \
		$(call OPTION,--eval-features,FEATURES) $(ADVERSARIAL) --device $(call Q,$(DEVICE)) --out $(TO)

$(OUT)/compare.html: $(CKPT) $(RUNS)
	$(GENREV) compare $(ALL) $(call OPTION,--ref,REF) -n $(call Q,$(N)) $(call OPTION,--features,FEATURES) $(COMPARE) \
		--device $(call Q,$(DEVICE)) --title $(call Q,Several seeds from one pretrained network) --out $(TO)
