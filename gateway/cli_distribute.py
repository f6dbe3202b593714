"""`tallystick database distribute`: spreads the tables over several machines, where the database is Citus."""

import click

from gateway.console import Context, pass_context


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the SQL, in its order; ask no database.")
@pass_context
def distribute(context: Context, *, dry_run: bool) -> None:
    """Hand the tables over to Citus, which spreads PostgreSQL over several machines.

    A member's rows go by its bucket and stay together; idempotency goes by its own key; everything small is copied to every
    machine. Needs the extension, and says so where it is not there. Stop all gateways and make a backup first. Rows move
    along; tables that were handed over before are left alone, so it is safe to repeat.
    """
    from gateway.storage.distributing import distribute as hand_over
    from gateway.storage.distributing import distribute_calls

    if dry_run:
        for _, call in distribute_calls():
            click.echo(f"{call};")
        return
    done = hand_over(context.engine, progress=lambda name: click.echo(name, err=True))
    click.echo(f"Handed over {len(done)} tables." if done else "All tables were handed over before: nothing to do.")
