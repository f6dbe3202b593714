"""`tallystick partners onboard`: from application files to proposals."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context
from gateway.domain.decision import Decision
from gateway.governance import Hand
from gateway.storage.engine import reading, writing
from partners.onboarding import Judged, Step, judge
from partners.onboarding import onboard as propose_partner
from partners.options import acting, hand_of
from partners.words import in_words

FILE_BYTES_MAX = 65_536  # an application has some 1,000


@click.command()
@click.argument("paths", metavar="FILE...|DIR", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--dry-run", is_flag=True, help="Only check; write nothing.")
@click.option("--skip-broken", is_flag=True, help="Leave out files that are in error, and propose the others all the same.")
@acting
@pass_context
def onboard(
    context: Context, paths: tuple[Path, ...], *, dry_run: bool, skip_broken: bool, operator: str, key_file: Path
) -> None:
    """Propose to take in the partners that applied with these files (or all *.toml of a folder).

    Names every error of every file, and then exits with 1; nothing is written unless --skip-broken leaves such files out. Safe
    to repeat: what was proposed or approved already is left alone, and a corrected application replaces a waiting one. Each
    partner becomes active, with its rate card and its key, when a second operator approves.
    """
    hand = hand_of(operator, key_file)
    texts, too_large = _read(paths)
    with reading(context.engine) as connection:
        judged = judge(connection, texts) + too_large
    if not skip_broken:
        _refuse_errors(judged, "nothing was written:")
    todo = [one for one in judged if one.step in (Step.PROPOSE, Step.REPLACE)]
    for one in judged:
        if one.application and (dry_run or one not in todo):
            click.echo(f"{one.file}: {one.application.partner_id}: {one.step}")
    if not dry_run:
        _propose(context, todo, hand)
    _refuse_errors(judged, "these were left out; mend them and run again:")


def _propose(context: Context, todo: Sequence[Judged], hand: Hand) -> None:
    proposed: list[Decision] = []
    with click.progressbar(todo, label="Proposing", file=sys.stderr, hidden=not sys.stderr.isatty()) as shown:
        for one in shown:
            assert one.application is not None
            # One transaction each, so that a running gateway never waits for all of them.
            with writing(context.engine) as connection:
                proposed.append(propose_partner(connection, one.application, hand=hand, now_ms=context.clock()))
    for decision in proposed:
        click.echo(f"Proposed {decision.decision_id}: {in_words(decision)}.")
    if proposed:
        click.echo("Another operator approves: tallystick operators approve --all --operator ID --key FILE")


def _read(paths: Iterable[Path]) -> tuple[dict[str, str], list[Judged]]:
    """Contents by file, and what is no application by its size."""
    files = [file for path in paths for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]
    if not files:
        raise Refused("no application files (*.toml) there")
    texts, too_large = {}, []
    for file in files:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            error = f"has more than {FILE_BYTES_MAX} bytes; that is no application"
            too_large.append(Judged(str(file), None, None, (error,)))
        else:
            # What is not UTF-8 fails as TOML, among the other errors.
            texts[str(file)] = content.decode("utf-8", errors="replace")
    return texts, too_large


def _refuse_errors(judged: Iterable[Judged], what: str) -> None:
    lines = [f"{one.file}: {error}" for one in judged for error in one.errors]
    if lines:
        raise Refused("\n".join([what, *lines]))
