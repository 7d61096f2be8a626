"""How much is taken of each text from outside that is no parameter; a parameter's range stands in its row."""

from __future__ import annotations

from core.catalog.variants import PROMPT

assert PROMPT.maximum is not None
PROMPT_CHARACTERS = int(PROMPT.maximum)
TYPED_CHARACTERS = 5 * PROMPT_CHARACTERS  # what the box for the prompt holds: a long paste is there to be shortened
FIELD_CHARACTERS = 300  # of one field of a preset
NAME_CHARACTERS = 255  # of a picture's name: no file system has longer ones
ID_CHARACTERS = 64  # of a run or a prediction
PATH_CHARACTERS = 4096  # of a file: no path of ours comes near
RECIPE_BYTES = 65_000  # as JSON, and of the packet around it: a part of a JPEG holds no more than 65,533
MOST_PROBLEMS = 20  # named in one refusal
