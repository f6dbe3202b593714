"""Drafts the next version from the difference between the newest one and the tables: `make migration NAME="why"`.

A draft, not an answer: alembic does not see changed CHECKs or partial indexes. The suite compares the outcome.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

from gateway.storage.engine import open_engine, writing

_FOLDER = Path(__file__).parent


def draft(message: str) -> None:
    """Writes the file of the next version."""
    with writing(open_engine("sqlite://")) as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
        config.set_main_option("file_template", "v%%(rev)s")
        command.upgrade(config, "head")
        number = 1 + len(tuple((_FOLDER / "versions").glob("v*.py")))
        command.revision(config, message, autogenerate=True, rev_id=f"{number:04}")
    file = _FOLDER / "versions" / f"v{number:04}.py"
    lines = file.read_text("utf-8").splitlines()
    file.write_text("".join(f"{line}\n" for line in lines if "# ###" not in line and "info={" not in line), "utf-8")


if __name__ == "__main__":
    draft(sys.argv[1])
