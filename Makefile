# Shortcuts for whoever changes capcli; CONTRIBUTING.md says what each is for.
.PHONY: check test quick docs

check:
	.ci/check

# All tests, or those of one room: make test ROOM=decoding
test:
	pytest -n auto $(if $(ROOM),tests/$(ROOM))

quick:
	pytest -n auto -m "not slow and not java and not browser" $(if $(ROOM),tests/$(ROOM))

# Write the tables of options anew.
docs:
	cog -r -I tests/helpers docs/*.md
