"""How much the tests try: a part of what is alike, or everything with TRICERAS_TESTS=all."""

import os

EVERYTHING = os.environ.get("TRICERAS_TESTS") == "all"
