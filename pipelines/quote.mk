# What all pipelines share: quotes for the shell, and a check of the names that make itself has to carry.
#
# PREPARE, PRETRAIN and other lists of options are words of the shell, and GENREV is a command: quote inside them what needs it.

# $(call Q,TEXT): TEXT as one word of the shell. TO, FROM, ALL: the target, its first and all prerequisites
Q    = '$(subst ','\'',$(1))'
TO   = $(call Q,$@)
FROM = $(call Q,$<)
ALL  = $(foreach file,$^,$(call Q,$(file)))

# $(call OPTION,OPTION,VARIABLE): '--option value', with the value as the user wrote it; nothing if it is empty
OPTION = $(if $(value $(2)),$(1) $(call Q,$(value $(2))))

define NEWLINE


endef
EMPTY   :=
SPACE   := $(EMPTY) $(EMPTY)
TAB     := $(EMPTY)	$(EMPTY)
HASH    := \#
SPECIAL := : % * ? [ ] \ ~ | ; = $(HASH)

# $(call CARRIED,NAMES): stop if the value of a variable in NAMES has a character that means something to make in the name of a file
CARRIED = $(foreach name,$(1),$(call GIVEN,$(name),$(firstword $(origin $(name)))))
GIVEN   = $(if $(and $(filter command environment,$(2)),$(findstring $$,$(value $(1)))),$(call REFUSED,$(1),$$),$(call PLAIN,$(1),$($(1))))
PLAIN   = $(if $(findstring $(SPACE),$(2))$(findstring $(TAB),$(2))$(findstring $(NEWLINE),$(2)),$(call REFUSED,$(1),spaces)) \
	$(foreach special,$(SPECIAL),$(if $(findstring $(special),$(2)),$(call REFUSED,$(1),$(special))))
REFUSED = $(error $(1)='$(value $(1))': make cannot carry $(2) in the name of a file; choose another, or link to it)

# $(call ONE_LINE,NAMES): stop if the value of a variable in NAMES has a line end, which would begin another command
ONE_LINE = $(foreach name,$(1),$(if $(findstring $(NEWLINE),$(value $(name))),$(error $(name): its value has a line end)))
