"""Names of the ways to divide a table of molecules, apart from what does it: looking for a name imports nothing."""

#: What a split can be, beside the name of a column that says train, valid or test.
KINDS = ("scaffold", "random", "stratified", "group")
