NATIVES = {}
TAKE_NUMBERS = frozenset()
