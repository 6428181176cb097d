"""Names of the ways to divide a table of molecules, apart from what does it: looking for a name imports nothing."""

#: What a split can be, beside the name of a column that says train, valid or test.
KINDS = ("scaffold", "scaffold_balanced", "random", "stratified", "group", "time", "kennard_stone", "butina")
#: Those that differ from seed to seed.
SEEDED = ("scaffold_balanced", "random", "stratified", "butina")
#: Those that are in an order of their own, so that there are no folds.
ORDERED = ("time", "kennard_stone")
