"""How rows look: `contract` says what each format does, `registry` lists them, and every other file holds some."""
