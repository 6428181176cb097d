"""Numbers of real runs as JSON, and the scripts that make pages and pictures of docs/ from them."""

from pathlib import Path

NUMBERS = Path(__file__).parent
DOCS = NUMBERS.parent / "docs"
