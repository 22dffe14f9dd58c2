"""Objectives: `contract` says what each does, `registry` lists them, and every other file is one or a part of some."""
