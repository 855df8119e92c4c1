# Train the methods of the papers for equal times, score them, and write docs/obtained.md, which compares them with published numbers.
# The rows are in genrev_cli/obtained/rows.toml: method, data sets and training commands, one line for each method. For each row and seed:
#
#   prepare-data → pace → train → (pace → train) → (encode → fit-ot) → fid, once for each kind of features → page
#
# make -j 2 -f pipelines/obtained.mk MINUTES=60 SEEDS="0 1 2" SOURCES="mnist cifar10"
# make -f pipelines/obtained.mk SIZE=small MINUTES=5 SOURCES=celeba64        # networks for a CPU instead of the papers'
# make -f pipelines/obtained.mk ROWS=lpga-mnist MINUTES=0 DEVICE=cuda FEATURES=inception N=10000    # the recipe's own length, on a GPU
#
# 'pace' measures the CPU seconds of a step (on a GPU the seconds of the clock) and plans as many steps as fit into MINUTES, which the
# training commands of a row share equally. So rows get equal times on a busy machine too. MINUTES=0 trains as long as each recipe says.
# 'make page' writes the page from what there is. Run the same command again to go on after an interruption.

MINUTES  ?= 15
SIZE     ?=
SEEDS    ?= 0
ifdef ROWS
SOURCES  ?= $(sort $(foreach row,$(ROWS),$(DATA_$(row))))
else
SOURCES  ?= mnist
ROWS      = $(foreach data,$(SOURCES),$(ROWS_$(data)))
endif
FEATURES ?=
N        ?= 5000
DEVICE   ?= cpu
DATA     ?= data
OUT      ?= runs/obtained/$(if $(filter-out 0,$(MINUTES)),$(MINUTES)-minutes,recipes)$(SIZE:%=-%)
PAGE     ?= $(if $(filter-out 0,$(MINUTES)),docs,$(OUT))/obtained$(SIZE:%=-%).md
OT       ?=
GENREV   ?= genrev
PYTHON   ?= python3
SELF     := $(lastword $(MAKEFILE_LIST))

include $(dir $(lastword $(MAKEFILE_LIST)))quote.mk
$(call CARRIED,OUT DATA PAGE)
$(call ONE_LINE,SEEDS SOURCES FEATURES MINUTES SIZE)

OBTAINED := $(PYTHON) -m genrev_cli.obtained
ON       := --device $(call Q,$(DEVICE))
export OMP_NUM_THREADS ?= 1

# PREPARE_mnist := mnist, TRAIN_grn-mnist_1 := pretrain-recon --recipe grn, …
VARIABLES := $(shell $(OBTAINED) variables --size $(call Q,$(SIZE)))
$(if $(VARIABLES),,$(error '$(OBTAINED) variables' failed: see the message above, or give a Python that has genrev, as in PYTHON=.venv/bin/python))
$(eval $(subst ;,$(NEWLINE),$(VARIABLES)))
UNKNOWN  := $(strip $(foreach row,$(ROWS),$(if $(DATA_$(row)),,$(row))))
$(if $(UNKNOWN),$(error no row '$(UNKNOWN)'; rows.toml has METHOD-DATA, as in lpga-mnist))

.PHONY: all rows page

# A row that fails does not keep the others from the page.
all:
	@$(MAKE) --no-print-directory -k -f $(call Q,$(SELF)) rows; code=$$?; $(MAKE) --no-print-directory -f $(call Q,$(SELF)) page; exit $$code

page:
	@$(OBTAINED) page --runs $(call Q,$(OUT)) --seeds $(call Q,$(SEEDS)) --sources $(call Q,$(SOURCES)) --features $(call Q,$(FEATURES)) \
		--minutes $(call Q,$(MINUTES)) --size $(call Q,$(SIZE)) --out $(call Q,$(PAGE))

# PATH_mnist=raw/mnist names the folder of the downloaded files.
$(DATA)/%.h5:
	$(GENREV) prepare-data $(PREPARE_$*) $(call OPTION,--path,PATH_$*) --out $(TO)

$(OUT)/features-%.safetensors: $(DATA)/%.h5
	$(GENREV) fit-features --data $(FROM) --seed 0 $(ON) --out $(TO)

TIMED   := $(filter-out 0,$(MINUTES))
IMAGES   = $(DATA)/$(DATA_$(1)).h5
LAST     = $(OUT)/$(1)/$(2)/$(lastword $(STAGES_$(1))).safetensors
MAP      = $(if $(filter ot,$(CODES_$(1))),$(OUT)/$(1)/$(2)/ot.safetensors)
PREVIOUS = $(filter-out 0,$(shell expr $(1) - 1))
USED_MAP = $(if $(filter train-gan%,$(TRAIN_$(1)_$(3))),$(call MAP,$(1),$(2)))
FIRST    = $(firstword $(SEEDS))
SHARE    = $(shell $(PYTHON) -c 'print($(MINUTES) / $(words $(STAGES_$(1))))')

# $(call FILE,OPTION,FILE): the option with its file, quoted; nothing without a file
FILE     = $(if $(2),$(1) $(call Q,$(2)))

# $(call BEFORE,ROW,SEED,STAGE): what a training command starts from: images, or the checkpoint before it and its map
PARENT   = $(OUT)/$(1)/$(2)/$(call PREVIOUS,$(3)).safetensors
BEFORE   = $(if $(filter 1,$(3)),$(call IMAGES,$(1)),$(call PARENT,$(1),$(2),$(3)) $(call USED_MAP,$(1),$(2),$(3)))
START    = $(if $(filter 1,$(3)),$(call FILE,--data,$(call IMAGES,$(1))),$(call FILE,--ckpt,$(call PARENT,$(1),$(2),$(3))) \
	$(call FILE,--ot,$(call USED_MAP,$(1),$(2),$(3))))
COMMAND  = $(GENREV) $(TRAIN_$(1)_$(3)) $(call START,$(1),$(2),$(3)) --seed $(2) $(ON)

# $(call TRAIN,ROW,SEED,STAGE)
define TRAIN
$(OUT)/$(1)/$(2)/$(3).safetensors: $(call BEFORE,$(1),$(2),$(3)) $(if $(TIMED),$(OUT)/$(1)/pace-$(3).json)
	$(call COMMAND,$(1),$(2),$(3)) $(if $(TIMED),$$$$($(OBTAINED) options $(call Q,$(OUT)/$(1)/pace-$(3).json))) --out $$(TO)
endef

# $(call PACE,ROW,SEED,STAGE): on the first seed
define PACE
$(OUT)/$(1)/pace-$(3).json: | $(call BEFORE,$(1),$(2),$(3))
	$(OBTAINED) pace --minutes $(call SHARE,$(1)) --device $(DEVICE) $(if $(WARM_UP_$(1)),--warm-up-off "$(WARM_UP_$(1))") --out $$(TO) \
		-- $(call COMMAND,$(1),$(2),$(3))
endef

# $(call MAPPED,ROW,SEED)
define MAPPED
$(OUT)/$(1)/$(2)/codes.h5: $(OUT)/$(1)/$(2)/1.safetensors
	$(GENREV) encode --ckpt $$(FROM) $(ON) --out $$(TO)
$(OUT)/$(1)/$(2)/ot.safetensors: $(OUT)/$(1)/$(2)/codes.h5
	$(GENREV) fit-ot $$(FROM) --seed $(2) $(OT) $(ON) --out $$(TO)
endef

SCORE    = $(GENREV) fid --ckpt $(call Q,$(call LAST,$(1),$(2))) --ref $(call Q,$(call IMAGES,$(1))) --split test --seed $(2) $(ON)
DISTANCE = $(call SCORE,$(1),$(2)) $(call FILE,--ot,$(call MAP,$(1),$(2))) -n $(N)
NAME     = $(basename $(notdir $(1)))

# $(call DISTANCES,ROW,SEED): in features of a classifier, in pixels, and in each of FEATURES
define DISTANCES
$(OUT)/$(1)/$(2)/fd-classifier.json: $(call LAST,$(1),$(2)) $(call MAP,$(1),$(2)) $(OUT)/features-$(DATA_$(1)).safetensors
	$(call DISTANCE,$(1),$(2)) --features $(call Q,$(OUT)/features-$(DATA_$(1)).safetensors) --out $$(TO)
$(OUT)/$(1)/$(2)/fd-pixel.json: $(call LAST,$(1),$(2)) $(call MAP,$(1),$(2))
	$(call DISTANCE,$(1),$(2)) --features pixel --out $$(TO)
$(foreach file,$(FEATURES),$(call OTHER,$(1),$(2),$(file))$(NEWLINE))
endef
define OTHER
$(OUT)/$(1)/$(2)/fd-$(call NAME,$(3)).json: $(call LAST,$(1),$(2)) $(call MAP,$(1),$(2)) $(wildcard $(3))
	$(call DISTANCE,$(1),$(2)) --features $(call Q,$(3)) --out $$(TO)
endef

# $(call MODEL,ROW,SEED): reconstructions, round trips, bits per dimension
define MODEL
$(OUT)/$(1)/$(2)/model.json: $(call LAST,$(1),$(2))
	$(call SCORE,$(1),$(2)) --metrics $(OF_MODEL_$(1)) --out $$(TO)
endef

# $(call REAL,DATA): the same distances of the first N images of the file, which are training images
define REAL
$(OUT)/real/$(1)/fd-classifier.json: $(DATA)/$(1).h5 $(OUT)/features-$(1).safetensors
	$(call REAL_DISTANCE,$(1)) --features $(call Q,$(OUT)/features-$(1).safetensors) --out $$(TO)
$(OUT)/real/$(1)/fd-pixel.json: $(DATA)/$(1).h5
	$(call REAL_DISTANCE,$(1)) --features pixel --out $$(TO)
$(foreach file,$(FEATURES),$(call REAL_OTHER,$(1),$(file))$(NEWLINE))
endef
define REAL_OTHER
$(OUT)/real/$(1)/fd-$(call NAME,$(2)).json: $(DATA)/$(1).h5 $(wildcard $(2))
	$(call REAL_DISTANCE,$(1)) --features $(call Q,$(2)) --out $$(TO)
endef
REAL_DISTANCE = $(GENREV) fid $(call Q,$(DATA)/$(1).h5) -n $(N) --ref $(call Q,$(DATA)/$(1).h5) --split test $(ON)

KINDS_OF = $(if $(CLASSES_$(1)),classifier) pixel $(foreach file,$(FEATURES),$(call NAME,$(file)))
KINDS  = $(call KINDS_OF,$(DATA_$(1)))
OF_MODEL = $(if $(OF_MODEL_$(1)),$(OUT)/$(1)/$(2)/model.json)
SCORES = $(if $(SAMPLES_$(1)),$(patsubst %,$(OUT)/$(1)/$(2)/fd-%.json,$(call KINDS,$(1)))) $(call OF_MODEL,$(1),$(2))

$(foreach row,$(ROWS),$(foreach stage,$(STAGES_$(row)),$(eval $(call PACE,$(row),$(FIRST),$(stage)))))
$(foreach row,$(ROWS),$(foreach seed,$(SEEDS),$(foreach stage,$(STAGES_$(row)),$(eval $(call TRAIN,$(row),$(seed),$(stage))))))
$(foreach row,$(ROWS),$(foreach seed,$(SEEDS),$(if $(filter ot,$(CODES_$(row))),$(eval $(call MAPPED,$(row),$(seed))))))
$(foreach row,$(ROWS),$(foreach seed,$(SEEDS),$(if $(SAMPLES_$(row)),$(eval $(call DISTANCES,$(row),$(seed))))))
$(foreach row,$(ROWS),$(foreach seed,$(SEEDS),$(if $(OF_MODEL_$(row)),$(eval $(call MODEL,$(row),$(seed))))))
$(foreach data,$(SOURCES),$(eval $(call REAL,$(data))))

REALS = $(foreach data,$(SOURCES),$(patsubst %,$(OUT)/real/$(data)/fd-%.json,$(call KINDS_OF,$(data))))
# make deletes the targets of an interrupted command unless they are precious. These are: genrev writes each of them whole or not at all.
OF_ROW = $(patsubst %,$(OUT)/$(1)/$(2)/%,$(addsuffix .safetensors,$(STAGES_$(1))) $(if $(filter ot,$(CODES_$(1))),codes.h5 ot.safetensors))
.PRECIOUS: $(DATA)/%.h5 $(OUT)/features-%.safetensors $(REALS) \
	$(foreach row,$(ROWS),$(foreach seed,$(SEEDS),$(call OF_ROW,$(row),$(seed)) $(call SCORES,$(row),$(seed)))) \
	$(foreach row,$(ROWS),$(foreach stage,$(STAGES_$(row)),$(OUT)/$(row)/pace-$(stage).json))

rows: $(foreach row,$(ROWS),$(foreach seed,$(SEEDS),$(call SCORES,$(row),$(seed)))) $(if $(foreach row,$(ROWS),$(SAMPLES_$(row))),$(REALS))
