"""Members at one limit, in a time that the tests tell."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from math import inf, nan
from pathlib import Path
from random import Random

import pytest

from flowpool.sharing import Member, Sharing, open_sharing
from flowpool.sharing.member import EXPIRY
from flowpool.values import Endpoint, Secret

KEY = "0123456789abcdef"
TICK = 0.2
SNAPSHOT = b'{"rate": 50.0}'


class Table:
    """Members at one limit and a clock; members that are here speak at every tick."""

    def __init__(self, sharing: Sharing) -> None:
        self.sharing = sharing
        self.now = 100.0
        self.members: dict[Member, tuple[float, float | None]] = {}

    def join(self, demand: float = inf, limit: float | None = None) -> Member:
        member = self.sharing.join(KEY, self.now)
        self.members[member] = (demand, limit)
        return member

    def run(self, seconds: float, *silent: Member) -> None:
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            for member, (demand, limit) in self.members.items():
                if member not in silent:
                    member.publish(self.now, demand, limit=limit)

    def shares(self) -> list[float]:
        return [round(member.share, 3) for member in self.members]

    def close(self) -> None:
        for member in self.members:
            member.leave()


@pytest.fixture(params=["file", "memory"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    made = Table(Sharing(tmp_path / "flowpool" if request.param == "file" else None))
    yield made
    made.close()


@pytest.fixture
def filed(tmp_path: Path) -> Iterator[Table]:
    made = Table(Sharing(tmp_path / "flowpool"))
    yield made
    made.close()


def live_file(table: Table) -> Path:
    assert table.sharing._directory is not None
    (path,) = (table.sharing._directory / "live").iterdir()
    return path


# Shares


def test_a_run_alone_has_the_whole_limit(table: Table) -> None:
    member = table.join()
    assert member.share == 1.0
    table.run(1.0)
    assert member.share == 1.0


def test_runs_that_want_all_have_equal_shares_within_two_turns(table: Table) -> None:
    for _ in range(5):
        table.join()
    table.run(2 * TICK)
    assert table.shares() == [0.2] * 5


def test_a_newcomer_starts_small_and_has_its_share_when_the_others_made_room(table: Table) -> None:
    first, second = table.join(), table.join()
    assert (first.share, second.share) == (1.0, 0.125)
    table.run(TICK)
    assert table.shares() == [0.5, 0.5]


def test_shares_never_add_up_to_more_than_the_limit_and_a_little_at_once(table: Table) -> None:
    random = Random(7)
    here: list[Member] = []
    for _ in range(300):
        if here and random.random() < 0.1:
            gone = here.pop(random.randrange(len(here)))
            gone.leave()
            del table.members[gone]
        if len(here) < 6 and random.random() < 0.1:
            here.append(table.join(random.choice([inf, 3.0, 0.0]), 10.0))
        table.run(TICK)
        # What a newcomer takes at once is a quarter of a fair share.
        assert sum(member.share for member in here) <= 1.0 + 0.25 / max(1, len(here) - 1)


def test_what_a_modest_run_leaves_goes_to_the_others(table: Table) -> None:
    modest, *_ = table.join(10.0, 100.0), table.join(), table.join()
    table.run(1.0)
    assert 0.1 <= modest.share <= 0.12
    assert table.shares()[1:] == [0.443, 0.443]


def test_runs_with_calls_of_different_cost_share_the_limit_not_the_calls(table: Table) -> None:
    table.join(inf, 1000.0)
    dear = table.join(2.0, 10.0)
    table.run(1.0)
    assert 0.2 <= dear.share <= 0.23


def test_a_run_that_starts_to_want_more_gets_it_within_two_turns(table: Table) -> None:
    quiet, _ = table.join(0.0, 100.0), table.join()
    table.run(1.0)
    assert quiet.share < 0.01
    table.members[quiet] = (inf, 100.0)
    table.run(TICK)
    assert quiet.share >= 0.125
    table.run(TICK)
    assert table.shares() == [0.5, 0.5]


def test_nonsense_for_a_demand_spoils_nobodys_share(table: Table) -> None:
    odd, _ = table.join(nan, 10.0), table.join()
    table.run(1.0)
    assert 0.0 < odd.share < 0.01
    table.members[odd] = (-5.0, 10.0)
    table.run(1.0)
    assert 0.0 < odd.share < 0.01
    assert sum(table.shares()) == pytest.approx(1.0, abs=0.002)


# Coming and going


def test_a_run_that_leaves_gives_its_share_back_at_the_next_turn(table: Table) -> None:
    first, second = table.join(), table.join()
    table.run(1.0)
    second.leave()
    second.leave()
    table.run(TICK, second)
    assert first.share == 1.0
    assert second.publish(table.now) == 0.5, "what it had, and nothing is written"
    assert first.others(table.now) == []


def test_a_run_that_falls_silent_loses_its_share_and_gets_it_back(table: Table) -> None:
    first, second = table.join(), table.join()
    table.run(1.0)
    table.run(EXPIRY - TICK, second)
    assert first.share == 0.5
    table.run(2 * TICK, second)
    assert first.share == 1.0
    table.run(2 * TICK)
    assert table.shares() == [0.5, 0.5]


def test_the_places_of_the_dead_are_used_again(filed: Table) -> None:
    for _ in range(300):
        member = filed.sharing.join(KEY, filed.now)
        member._table.close()  # as a crash would
        filed.now += 5.0
    member = filed.join()
    assert member.share == 1.0
    assert live_file(filed).stat().st_size <= 64 * 64


def test_more_runs_than_places_still_take_less_than_all(table: Table) -> None:
    for _ in range(256):
        table.join()
    late = table.join()
    table.run(TICK)
    assert 0.0 < late.share < 0.01
    table.close()
    table.members.clear()
    assert table.join().share == 1.0


def test_two_that_took_the_same_place_part_at_their_next_turns(filed: Table) -> None:
    first, second = filed.join(), filed.join()
    filed.run(TICK)
    assert first._slot is not None
    assert second._slot is not None
    second._table.write(second._slot * 64, bytes(64))  # as if both had found the first's place free
    second._slot = first._slot
    filed.run(3 * TICK)
    assert first._slot != second._slot
    assert filed.shares() == [0.5, 0.5]


def test_a_row_of_another_clock_is_nobodys(filed: Table) -> None:
    filed.now = 1e6
    strange = filed.join()
    del filed.members[strange]
    filed.now = 5.0
    assert filed.join().share == 1.0
    strange.leave()


def test_others_are_seen_with_what_they_said(table: Table) -> None:
    first, second = table.join(), table.join()
    second.publish(table.now, 5.0, 4.5, limit=50.0)
    first.publish(table.now)
    (other,) = first.others(table.now + 0.1)
    assert (other.wanted, other.rate) == (0.1, 4.5)
    assert other.age == pytest.approx(0.1)
    assert other.share == pytest.approx(second.share)


def test_limits_of_different_keys_do_not_touch(table: Table) -> None:
    first = table.join()
    second = table.sharing.join("f" * 16, table.now)
    assert first.publish(table.now) == second.publish(table.now) == 1.0
    second.leave()


def test_threads_of_one_process_share(table: Table) -> None:
    ready = threading.Barrier(4)
    shares: list[float] = []

    def run() -> None:
        member = table.sharing.join(KEY, 100.0)
        for turn in range(1, 6):
            ready.wait(5)
            member.publish(100.0 + turn * TICK)
        shares.append(member.share)
        ready.wait(5)
        member.leave()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shares == [0.25] * 4


# What was learned


def test_a_newcomer_learns_from_the_busiest(table: Table) -> None:
    first, second = table.join(), table.join()
    assert second.learned(table.now) is None
    first.publish(table.now, inf, 5.0, snapshot=b'{"rate": 1}')
    second.publish(table.now, inf, 50.0, snapshot=SNAPSHOT)
    third = table.join()
    assert third.learned(table.now) == SNAPSHOT
    second.leave()
    third.publish(table.now)
    assert third.learned(table.now) == b'{"rate": 1}'
    assert third.learned(table.now + 2 * EXPIRY) is None
    third.leave()
    assert third.learned(table.now) is None


def test_what_was_learned_is_written_once_a_second_at_most(table: Table) -> None:
    first, second = table.join(), table.join()
    for tick in range(6):
        first.publish(table.now + tick * TICK, snapshot=b"%d" % tick)
        second.publish(table.now + tick * TICK)
        assert second.learned(table.now + tick * TICK) == (b"0" if tick < 5 else b"5")


def test_a_snapshot_that_is_too_long_is_left_out(table: Table) -> None:
    first, second = table.join(), table.join()
    first.publish(table.now, snapshot=bytes(5000))
    second.publish(table.now)
    assert second.learned(table.now) is None
    assert second.share > 0


# When the file is not as it should be


def test_where_no_file_can_be_made_the_process_shares_in_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "live").write_bytes(b"")
    for directory in (tmp_path / "file" / "flowpool", tmp_path):
        table = Table(Sharing(directory))
        table.join()
        table.join()
        table.run(1.0)
        assert table.shares() == [0.5, 0.5]
        table.close()


def test_a_deleted_file_is_made_anew_and_the_runs_meet_again(filed: Table) -> None:
    first, second = filed.join(), filed.join()
    second.publish(filed.now, snapshot=SNAPSHOT)
    live_file(filed).unlink()
    live = filed.sharing._directory
    assert live is not None
    (live / "live").rmdir()
    filed.run(3 * TICK)
    assert filed.shares() == [0.5, 0.5]
    second.publish(filed.now, snapshot=SNAPSHOT)
    assert first.learned(filed.now) == SNAPSHOT


@pytest.mark.parametrize(
    "content", [b"", b"x" * 7, os.urandom(5000), bytes(5000), b"\xff" * 99_999]
)
def test_a_spoiled_file_heals(filed: Table, content: bytes) -> None:
    filed.join()
    filed.join()
    filed.run(1.0)
    live_file(filed).write_bytes(content)
    filed.run(3 * TICK)
    assert filed.shares() == [0.5, 0.5]


def test_a_file_that_is_lost_in_mid_run_leaves_sharing_in_the_process(filed: Table) -> None:
    filed.join()
    filed.join()
    filed.run(1.0)
    path = live_file(filed)
    path.unlink()
    path.mkdir()
    filed.run(3 * TICK)
    assert filed.shares() == [0.5, 0.5]
    path.rmdir()


def test_files_that_nobody_used_for_a_day_are_deleted(filed: Table) -> None:
    filed.sharing.join("f" * 16, filed.now).leave()
    stale = live_file(filed)
    old = stale.stat().st_mtime - 100_000
    os.utime(stale, (old, old))
    filed.join()
    assert live_file(filed) != stale


# Keys and users


def test_no_byte_of_a_key_stands_in_any_file(tmp_path: Path) -> None:
    directory = tmp_path / "flowpool"
    sharing = Sharing(directory)
    endpoint = Endpoint(
        "openai", "openai-chat", "http://host.test/v1", Secret("key-canary"), (("x", "canary-2"),)
    )
    fingerprint = sharing.fingerprint(endpoint, "m")
    member = sharing.join(fingerprint, 1.0)
    member.publish(1.2, snapshot=SNAPSHOT)
    sharing.memory.keep(fingerprint, SNAPSHOT, 1.0)
    member.leave()
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert len(files) == 3, "the salt, the shares and the memory"
    for path in files:
        written = path.name.encode() + path.read_bytes()
        for secret in (b"canary", b"host.test"):
            assert secret not in written
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (directory, *(path for path in directory.iterdir() if path.is_dir())):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_fingerprints_of_two_users_do_not_match(tmp_path: Path) -> None:
    endpoint = Endpoint("openai", "openai-chat", "http://h/v1", Secret("key-canary"))
    ann, bob = Sharing(tmp_path / "ann"), Sharing(tmp_path / "bob")
    assert ann.fingerprint(endpoint, "m") != bob.fingerprint(endpoint, "m")
    again = Sharing(tmp_path / "ann").fingerprint(endpoint, "m")
    assert ann.fingerprint(endpoint, "m") == again


def test_pools_of_one_process_open_the_same_and_can_opt_out(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    assert open_sharing(environ) is open_sharing(environ) is not None
    assert open_sharing({**environ, "FLOWPOOL_SHARE": "off"}) is None
    assert open_sharing({**environ, "FLOWPOOL_SHARE": "on"}) is open_sharing(environ)
    assert list(tmp_path.iterdir()) == [], "nothing is written before it is needed"


def test_what_is_shown_of_a_member_tells_its_state(table: Table) -> None:
    member = table.join()
    assert repr(member) == "<Member: share 1.000>"
    member.leave()
    assert repr(member) == "<Member: left>"
