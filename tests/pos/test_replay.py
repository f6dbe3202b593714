"""A replay against the small gateway: what it decides, that it can be repeated, and that it ties out."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.domain.ids import IDEMPOTENCY_KEY
from gateway.domain.units import Rate
from partners.pos import keys
from partners.pos.errors import PosError, ProfileError
from partners.pos.profile import Profile
from partners.pos.replay import WHOLE, Job, Replay, Summary
from partners.pos.replay_plan import Columns, Naming, Rule, Stores, by_household, events_of, read_baskets
from tests.pos.naive import balances
from tests.pos.small_gateway import AUDIENCE, SmallGateway

# A sample of dunnhumby's "The Complete Journey" (CC0): all baskets of 16 households in 2017.
SAMPLE = Path(__file__).with_name("baskets_sample.csv")
RULE = Rule(Rate(1, 5), Rate(4, 25), 7)
PARTNERS = ("fuel", "grocer", "books")

MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(gateway: SmallGateway, tmp_path: Path) -> MakeJob:
    """Jobs over the sample, with a key for each partner; arguments replace the defaults."""
    profiles = {}
    for partner_id in PARTNERS:
        key_id = f"{partner_id}/till-1/a"
        key, pem = keys.generate()
        gateway.keys[key_id] = key
        keys.save(pem, tmp_path / f"{partner_id}.pem")
        profiles[partner_id] = Profile(gateway.target, AUDIENCE, key_id, tmp_path / f"{partner_id}.pem", is_plaintext=True)

    def make(file: Path = SAMPLE, *, by_week: bool = False, run: str = "replay") -> Job:
        return Job(
            file=file,
            profiles=profiles,
            stores=Stores(tuple(sorted(PARTNERS)), anchor="grocer"),
            rule=RULE,
            unit="USD",
            columns=Columns(),
            naming=Naming(run),
            by_week=by_week,
        )

    return make


def played(job: Job, processes: int = 1) -> Summary:
    """All spans of a job."""
    with Replay(job, processes) as running:
        for span in job.events_by_span():
            for _ in running.play(span):
                pass
        return running.finish()


def naive() -> dict[str, int]:
    """By the script that never saw this code; the small gateway gives a point a dollar, worth a cent."""
    with SAMPLE.open() as lines:
        computed: dict[str, int] = balances(lines, dict.fromkeys(PARTNERS, (1, 1, 1_000_000)), anchor="grocer")
    return computed


def by_ledger(summary: Summary) -> dict[str, int]:
    """The balances that the gateway gave."""
    return {one.household_id: one.balance_points for one in summary.closings}


def test_balances_are_those_of_a_naive_script(make_job: MakeJob) -> None:
    """Two processes; every household, to the point."""
    summary = played(make_job(), processes=2)

    assert by_ledger(summary) == naive()
    assert (summary.untied, summary.totals.refused) == ([], {})
    assert summary.receipts_verified == sum(summary.totals.counts[kind] for kind in ("enrolled", "checkouts", "refunds"))
    assert sum(summary.totals.points.values()) == sum(naive().values())


def test_playing_again_books_nothing_new(make_job: MakeJob) -> None:
    """Same receipts, same balances, and it still ties out."""
    first, second = played(make_job()), played(make_job())

    assert by_ledger(second) == by_ledger(first)
    assert (second.totals.points, second.untied) == (first.totals.points, [])
    assert second.totals.counts["booked before"] == second.receipts_verified


def test_lost_answers_change_nothing(make_job: MakeJob, gateway: SmallGateway) -> None:
    """Calls are sent again with the same key."""
    gateway.answers_to_lose = 10

    summary = played(make_job())

    assert by_ledger(summary) == naive()
    assert (summary.untied, summary.retries >= 10) == ([], True)


def test_weeks_one_by_one_give_the_same_balances(make_job: MakeJob) -> None:
    """The order of a household's events does not depend on how the file is cut."""
    job = make_job(by_week=True)

    assert len(job.events_by_span()) > 50
    assert by_ledger(played(job)) == naive()


def test_another_run_books_the_file_once_more(make_job: MakeJob) -> None:
    """Members are there already; their balance goes on from where it was."""
    played(make_job())

    second = played(make_job(run="again"))

    assert second.totals.counts["booked before"] == 0
    assert (second.totals.counts["enrolled"], second.untied) == (0, [])


def test_another_seed_under_the_same_run_is_refused_with_advice(make_job: MakeJob) -> None:
    """The keys are taken by other commands."""
    played(make_job())

    with pytest.raises(PosError, match=r"IDEMPOTENCY_KEY_REUSED.*\n.*needs another --run"):
        played(replace(make_job(), rule=Rule(Rate(1, 5), Rate(4, 25), 8)))


def test_a_key_that_the_gateway_refuses_ends_the_replay(make_job: MakeJob, gateway: SmallGateway) -> None:
    """A wrong set-up is not counted 47,000 times."""
    job = make_job()
    gateway.keys.clear()

    with pytest.raises(PosError, match="SIGNATURE_INVALID"):
        played(job)


def test_events_do_not_depend_on_how_households_are_spread(make_job: MakeJob) -> None:
    """Each household belongs to one part."""
    baskets = make_job().baskets()
    parts = [by_household(baskets, part=part, parts=3) for part in range(3)]

    assert sum(len(part) for part in parts) == len(by_household(baskets))
    assert {one: rows for part in parts for one, rows in part.items()} == by_household(baskets)


def test_half_of_the_stores_are_the_anchors() -> None:
    """By hash, whatever their names are."""
    stores = Stores(("a", "b", "c"), anchor="b")
    of_anchor = sum(stores.partner_of(str(store)) == "b" for store in range(1000))

    assert 450 < of_anchor < 550


def test_a_return_comes_after_its_sale_and_shares_are_kept(make_job: MakeJob) -> None:
    """One sale a basket; some 16 % come back, at most three baskets later."""
    for baskets in by_household(make_job().baskets()).values():
        seen: list[str] = []
        for event in events_of(baskets, RULE):
            if event.quarters_back:
                assert event.basket.basket_id in seen[-4:]
            else:
                seen.append(event.basket.basket_id)
        assert seen == [basket.basket_id for basket in baskets]


def test_every_bad_line_of_a_file_is_named() -> None:
    """Nothing is played of a file with errors."""
    lines = [
        "occurred_at_utc,basket_id,store_id,household_id,sales_usd,coupon_usd",
        "2017-01-01T12:30:27Z,1,319,906,1.505,0.00",
        "yesterday,2,319,906,1.50,0.00",
        "2017-01-01T12:30:27Z,3,319,906,1.50,0.00",
        "2017-01-01T12:30:27Z,3,319,906,1.50,0.00",
        "2017-01-01T12:30:27Z,4,319,9 06,1.50,0.00",
        "2017-01-01T12:30:27Z,5,319",
    ]

    with pytest.raises(ProfileError) as caught:
        read_baskets(lines, Columns(), unit="USD", naming=Naming())

    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == [f"line {n}" for n in (2, 3, 5, 6, 7)]


def test_a_file_without_a_column_says_what_it_has() -> None:
    """The column can be named otherwise on the command line."""
    with pytest.raises(ProfileError, match="no column coupon_usd; the file has occurred_at_utc"):
        read_baskets([",".join(csv_header())], Columns(), unit="USD", naming=Naming())

    assert read_baskets([",".join(csv_header())], Columns(discount=""), unit="USD", naming=Naming()) == []


def test_ids_of_a_file_become_keys_that_differ() -> None:
    """The real file has a basket that some spreadsheet has written as 4.0128e+10."""
    ids = ["4.0128e+10", "4.0128e_2B10", "4.0128e10", "käse", "a b"]
    made = [Naming().key(one, "issue") for one in ids]

    assert made[0] == "replay:4.0128e_2B10:issue"
    assert len(set(made)) == len(ids)
    assert all(IDEMPOTENCY_KEY.fullmatch(one) for one in made)


def csv_header() -> list[str]:
    """Of the sample, without its coupons."""
    with SAMPLE.open() as lines:
        return [name for name in next(csv.reader(lines)) if name != "coupon_usd"]


def test_the_whole_span_is_one_without_weeks(make_job: MakeJob) -> None:
    """Sales and returns together."""
    job = make_job()
    events = sum(len(list(events_of(baskets, RULE))) for baskets in by_household(job.baskets()).values())

    assert job.events_by_span() == {WHOLE: events}
