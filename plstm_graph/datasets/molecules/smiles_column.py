"""Which column of a table has the SMILES, and whether the table has a header: by names, else by what the cells hold."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rdkit import Chem, rdBase

from plstm_graph.datasets.separators import BLANK_SUFFIXES
from plstm_graph.datasets.table import BadRow, Table, TableError, parse_table

#: What columns of SMILES are called (without regard to capitals, blanks and underscores), the surest first.
_NAMES = """smiles canonicalsmiles isomericsmiles smilescanonical smilesisomeric isosmiles rdkitsmiles smilesstring
molsmiles moleculesmiles compoundsmiles ligandsmiles drugsmiles smi""".split()
#: Names that may also be those of other columns, so that the cells decide.
_VAGUE = ("drug", "mol", "molecule", "structure", "compound", "ligand", "chemical", "x")
_LOOKED_AT = 50  # rows
#: How the names of files with tables of molecules end, beside ``.gz``.
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", *BLANK_SUFFIXES)


def read_molecule_table(
    path: str | Path, smiles_column: str | int | None = None, likely: str = "smiles"
) -> tuple[Table, list[BadRow], str]:
    """Read a table of molecules, with or without a header; see :func:`parse_molecule_table`.

    Raises:
        FileNotFoundError: If there is no such file.
        TableError: As of :func:`parse_molecule_table`.
    """
    path = Path(path)
    return parse_molecule_table(path.read_bytes(), path, smiles_column, likely)


def parse_molecule_table(
    content: bytes, path: Path, smiles_column: str | int | None = None, likely: str = "smiles"
) -> tuple[Table, list[BadRow], str]:
    """A table of molecules, whose bytes have been read.

    Args:
        content: The bytes of the file.
        path: Where they come from.
        smiles_column: Name of the column of SMILES, or its place, from 0. (default: the likely one, else one of a
            usual name in any capitals, else the only one whose cells are molecules)
        likely: A name that is taken without a word where no other is given.

    Returns:
        The table, its rows of a wrong length, and the name of the column of SMILES. Notes of the table say how that was
        found.

    Raises:
        TableError: If there is no such column, several may be meant, or the named one holds no SMILES at all while
            another one does; and as of :func:`~plstm_graph.datasets.table.parse_table`.
    """
    table, ragged = parse_table(content, path, _has_header)
    if smiles_column is not None:
        name = table.columns[table.position(smiles_column)]
        _check_given(table, name)
        return table, ragged, name
    if likely in table.columns:
        return table, ragged, likely
    name, how = find_smiles_column(table)
    return table.noted(how), ragged, name


def parse_molecule_tables(
    contents: Sequence[bytes],
    paths: Sequence[Path],
    smiles_column: str | int | None,
    targets: Sequence[str | int] | None,
    others_used: Sequence[str] = (),
    besides: Sequence[str] = (),
) -> tuple[Table, list[BadRow], str, list[str]]:
    """The rows of several tables of molecules in one, with the columns of the first.

    Args:
        contents: The bytes of each file.
        paths: Where they come from. Columns of further files are found by their names, in whatever order; of those
            that are no targets, some may be missing.
        smiles_column: As of :func:`parse_molecule_table`; further files may have another name for it.
        targets: As of :func:`find_target_columns`, and so are the following.
        others_used: Columns that are something else.
        besides: Columns that are targets only if they are named.

    Returns:
        The table, its rows of a wrong length, the name of the column of SMILES, and those of the targets.

    Raises:
        TableError: As of these; or if a further file lacks a target.
    """
    table, ragged, smiles = parse_molecule_table(contents[0], paths[0], smiles_column)
    names = find_target_columns(table, smiles, targets, others_used, besides)
    rows, lines, notes = list(table.rows), list(table.lines), list(table.notes)
    files = [paths[0]] * len(rows)
    for content, path in zip(contents[1:], paths[1:], strict=True):
        more, bad, own = parse_molecule_table(content, path, None, smiles)
        for name in names:
            more.position(name)
        place = {name: more.position(name) for name in table.columns if name in more.columns} | {
            smiles: more.position(own)
        }
        rows += [[row[place[name]] if name in place else "" for name in table.columns] for row in more.rows]
        lines += more.lines
        files += [path] * len(more)
        notes += more.notes
        ragged = ragged + [BadRow(line, f"of {path}: {reason}") for line, reason in bad]
    whole = replace(table, rows=rows, lines=lines, notes=tuple(notes), files=files if len(paths) > 1 else ())
    return whole, ragged, smiles, names


def find_smiles_column(table: Table) -> tuple[str, str]:
    """The column of SMILES of a table for which no name was given, and what to say of the choice.

    Raises:
        TableError: If none is found, or several.
    """
    plain = {name.casefold().replace("_", "").replace(" ", "").replace("-", ""): name for name in table.columns[::-1]}
    for usual in _NAMES:
        if usual in plain:
            return plain[usual], f"{table.path}: SMILES are taken from the column {plain[usual]!r}"
    for usual in _VAGUE:
        if usual in plain and holds_smiles(table.column(plain[usual])):
            return plain[usual], f"{table.path}: SMILES are taken from the column {plain[usual]!r}"
    found = [name for name in table.columns if holds_smiles(table.column(name))]
    if len(found) == 1:
        return found[0], f"{table.path}: SMILES are taken from the column {found[0]!r}, whose cells are molecules"
    if found:
        raise TableError(
            f"{table.path} has molecules in the columns {', '.join(found)}: say which, smiles_column: {found[0]}"
        )
    raise TableError(
        f"{table.path} has no column 'smiles', nor one whose cells are molecules; its columns are "
        f"{', '.join(table.columns)}. Name the column of SMILES: smiles_column: NAME"
    )


def find_target_columns(
    table: Table,
    smiles_column: str,
    names: Sequence[str | int] | None,
    others_used: Sequence[str] = (),
    besides: Sequence[str] = (),
) -> list[str]:
    """Names of the target columns of a table.

    Args:
        table: The table.
        smiles_column: Name of the column of SMILES.
        names: Names of the target columns, or places, from 0. (default: the other column, if only one has a name)
        others_used: Columns that are something else than targets, such as weights.
        besides: Columns that are targets only if they are named, such as the group of a split.

    Raises:
        TableError: If there is no such column, or one is named twice, or is that of SMILES; or without names, if there
            is none or more than one.
    """
    if names is None:
        used = {smiles_column, *others_used, *besides, *table.unnamed}
        others = [name for name in table.columns if name not in used]
        if len(others) != 1:
            raise TableError(
                f"say which columns of {table.path} are targets, target_columns=[...]; beside {smiles_column!r} it has "
                f"{', '.join(others) or 'none ([] means no targets)'}"
            )
        return others
    found = [table.columns[table.position(name)] for name in names]
    for name in found:
        if name in others_used:
            raise TableError(f"{table.path}: {name!r} is a column of weights, and target_columns names it as a target")
        if name == smiles_column:
            raise TableError(f"{table.path}: {name!r} is the column of SMILES, and target_columns names it as a target")
        if found.count(name) > 1:
            raise TableError(f"target_columns has {name!r} more than once")
    return found


def holds_smiles(cells: Sequence[str]) -> bool:
    """Whether most of the first cells that have a text are molecules of more than one atom, and not all the same few.

    A word such as ``NO`` is a molecule by chance, and may be that of many cells.
    """
    filled = [text for cell in cells[: 4 * _LOOKED_AT] if (text := cell.strip())][:_LOOKED_AT]
    molecules = [text for text in filled if _is_molecule(text)]
    return len(molecules) > len(filled) / 2 and len(set(molecules)) >= min(2, len(filled))


def _is_molecule(text: str) -> bool:
    if not text.isascii() or " " in text:
        return False
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(text)
    return molecule is not None and molecule.GetNumAtoms() > 1


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has names.

    It has not if one of its cells is a molecule, as are those below it, or a number with decimals, above numbers.
    """
    first, below = rows[0], rows[1:]
    if any(cell.strip().casefold().endswith("smiles") for cell in first):
        return True
    for position, cell in enumerate(map(str.strip, first)):
        cells = [row[position] for row in below if len(row) > position]
        if _is_molecule(cell) and (holds_smiles(cells) or not below):
            return False
        if "." in cell and _is_number(cell) and any(map(_is_number, cells)):
            return False
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_given(table: Table, name: str) -> None:
    """Refuse a column that holds no SMILES at all where another one does: the names were mistaken for each other."""
    cells = [(line, cell) for line, cell in zip(table.lines, table.column(name), strict=True) if cell.strip()]
    first = cells[:_LOOKED_AT]
    if not first or any(_parses(cell) for _, cell in first):
        return
    others = [other for other in table.columns if other != name and holds_smiles(table.column(other))]
    if others:
        line, cell = first[0]
        raise TableError(
            f"{table.path}, line {line}: column {name!r} is {cell!r:.60}, no SMILES, as are all cells below it; SMILES "
            f"are in the column {others[0]!r}: smiles_column: {others[0]}"
        )


def _parses(text: str) -> bool:
    with rdBase.BlockLogs():
        return text.isascii() and Chem.MolFromSmiles(text) is not None
