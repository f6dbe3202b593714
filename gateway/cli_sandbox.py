"""`tallystick sandbox`: makes and serves a network to try a till against. The composition root of sandboxes."""

import os
import sys
from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("sandbox"))
@click.option("--listen", metavar="HOST:PORT", help="Where to listen [default: 127.0.0.1:7443; port 0: any].")
@click.option("--page", is_flag=True, help="Print the page of members and partners, and what a till must do; stop.")
@pass_context
def sandbox(context: Context, folder: Path, listen: str | None, *, page: bool) -> None:
    """Make a network to try a till against, in FOLDER [default: sandbox], unless it is there, and serve it.

    It has TLS, two operators, partners with published test keys, and members that always answer what a till seldom meets:
    no points, debt, a hold that is over, an answer that is lost. Until SIGTERM or SIGINT. It refuses any network that was
    not made as a sandbox; receipts of one say so in their audience.
    """
    if page:
        from gateway.sandbox_page import sandbox_page

        click.echo(sandbox_page(), nl=False)
        return
    if "TALLYSTICK_DATABASE_URL" in os.environ:
        raise Refused("TALLYSTICK_DATABASE_URL is set, and a sandbox keeps to its own books: unset it")
    _serve(context, folder.absolute(), listen)


def _serve(context: Context, folder: Path, listen: str | None) -> None:
    import uvloop

    from gateway.app import App
    from gateway.cli_serve import stop_event, write_log
    from gateway.founding import IDENTIFIER_KEY
    from gateway.sandbox_founding import open_sandbox, write_profiles
    from gateway.sandbox_path import SandboxPath
    from gateway.serve_lock import only_gateway
    from gateway.services.points import CommandPath
    from gateway.services.reading import ReadingService

    if not folder.exists():
        click.echo(f"making a sandbox in {folder}", err=True)
    config = open_sandbox(folder, clock=context.clock)
    pepper = (config.keys_dir / IDENTIFIER_KEY).read_bytes()
    paths: list[SandboxPath] = []

    def around(path: CommandPath, reading: ReadingService) -> CommandPath:
        paths.append(SandboxPath(path, reading, pepper=pepper, clock=context.clock))
        return paths[-1]

    app = App(config, clock=context.clock, write_log=write_log, listen=listen, around=around)

    async def run() -> None:
        stop = stop_event()
        async with app:
            for path in paths:
                await path.prepare()
            _say(folder, app.address, write_profiles(folder, app.address, clock=context.clock))
            await app.run_until(stop)
            click.echo("draining", err=True)

    with only_gateway(config.database_url):
        uvloop.run(run())


def _say(folder: Path, address: str, profiles: dict[str, Path]) -> None:
    """What a vendor needs."""
    from gateway.sandbox import AUDIENCE, PARTNERS

    shown = Path(os.path.relpath(folder))
    click.echo(f"serving the sandbox {AUDIENCE} on {address}")
    click.echo(f"CA: {shown / 'net' / 'tls' / 'ca.pem'}")
    for one in PARTNERS:
        if one.is_published:
            profile = shown / "partners" / profiles[one.partner_id].name
            click.echo(f"profile: {profile}  key {one.key_id} in {profile.with_suffix('.pem')}: {one.does}")
    click.echo("Cards and what they do: 'tallystick sandbox --page', or docs/sandbox.md. In another terminal:")
    first = shown / "partners" / f"{PARTNERS[0].partner_id}.toml"
    click.echo(f"  tallystick pos balance --profile {first} --card SANDBOX-RICH")
    sys.stdout.flush()
