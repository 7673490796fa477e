"""What names, sizes, quotas and passwords may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlxd_core.domain.account import check_email, check_password
from openlxd_core.domain.actor import SYSTEM, Actor, Role, anonymous
from openlxd_core.domain.container import check_name, check_spec
from openlxd_core.domain.errors import (
    Forbidden,
    OpenLXDError,
    QuotaExceeded,
    RateLimited,
    Unauthenticated,
    ValidationFailed,
    error_tree,
)
from openlxd_core.domain.policy import Action, may, require
from openlxd_core.domain.quota import NOTHING, Quota, check_fits, format_quota, parse_quota
from openlxd_core.domain.text import clean, is_plain
from openlxd_core.domain.units import format_age, format_bytes, format_mib, parse_count, parse_size_mib


@pytest.mark.parametrize("name", ["a", "web1", "a-b", "a" * 63, "x0-9z"])
def test_a_name_that_lxd_allows_is_taken(name: str) -> None:
    """LXD's rule for instance names is ours."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-a", "1a", "a-", "a" * 64, "A", "Web", "a/b", "..", "../x", "a b", " a", "a\n", "$(id)", "a;id", "ünï",
     "容器", "a?project=p", "a%2f", "a.b", "a_b", None, 7, "a\u202eb", "ａ"],
)  # fmt: skip
def test_any_other_name_is_refused_in_one_sentence(name: object) -> None:
    """Nothing that is not a host name label gets through, whatever its type."""
    with pytest.raises(ValidationFailed) as caught:
        check_name(name)
    assert list(caught.value.fields) == ["name"]
    assert str(caught.value).count(".") == 1


@pytest.mark.parametrize(
    ("text", "mib"),
    [("512MiB", 512), ("2GB", 2048), ("2GiB", 2048), ("2048MB", 2048), (2048, 2048), ("2048", 2048), ("1.5G", 1536),
     ("1 TiB", 1048576), (" 20gib ", 20480), ("1024k", 1), ("1024KiB", 1)],
)  # fmt: skip
def test_a_size_is_read_as_people_write_it(text: str | int, mib: int) -> None:
    """GB and GiB both mean powers of two, and a plain number means MiB, as the design paper has it."""
    assert parse_size_mib(text, "memory") == mib


@pytest.mark.parametrize(
    "text",
    ["", "-1", -1, 0, "0", "2 bananas", "GiB", "1e3", "1,5GiB", "nan", "inf", True, "90%", "1G;id", "9" * 30, "1.0001k",
     "٣", "５１２", "512B", None, 0.5],
)  # fmt: skip
def test_what_is_not_a_size_is_refused(text: object) -> None:
    """One clear sentence, and the field's name."""
    with pytest.raises(ValidationFailed) as caught:
        parse_size_mib(text, "memory")  # type: ignore[arg-type]
    assert "memory" in caught.value.fields


@given(st.integers(1, 10**6))
def test_a_shown_size_reads_back_as_nearly_the_same(mib: int) -> None:
    """Formatting loses a twentieth of a unit at most."""
    shown = parse_size_mib(format_mib(mib).replace(" ", ""), "x") if mib < 1024 else None
    assert shown in (mib, None)
    assert format_mib(mib).split()[1] in ("MiB", "GiB")


@pytest.mark.parametrize("value", [0, "0", -1, "1.5", "", "x", 1025, True, "٣", None])
def test_a_cpu_count_is_a_whole_number_from_one(value: object) -> None:
    """Nothing else is a CPU count."""
    with pytest.raises(ValidationFailed):
        parse_count(value, "cpu")  # type: ignore[arg-type]


def test_sizes_and_ages_are_short() -> None:
    """The words of the tables."""
    assert [format_mib(m) for m in (1, 1023, 1024, 1536, 20480, 1048576)] == [
        "1 MiB", "1023 MiB", "1 GiB", "1.5 GiB", "20 GiB", "1 TiB",
    ]  # fmt: skip
    assert [format_bytes(b) for b in (0, 1023, 2048, 5 * 2**20)] == ["0 B", "1023 B", "2 KiB", "5 MiB"]
    now = datetime(2026, 1, 2, tzinfo=UTC)
    ages = [timedelta(seconds=5), timedelta(minutes=12), timedelta(hours=3), timedelta(days=5), timedelta(days=800)]
    assert [format_age(now - a, now) for a in ages] == ["5 s", "12 min", "3 h", "5 d", "2 y"]
    assert format_age(now + timedelta(days=1), now) == "0 s"


def test_every_mistake_of_a_form_is_told_at_once() -> None:
    """A form can mark all its wrong fields."""
    with pytest.raises(ValidationFailed) as caught:
        check_spec("Bad Name", "", 0, "2 bananas", -1)
    assert set(caught.value.fields) == {"name", "image", "cpu", "memory", "disk"}


def test_a_quota_reads_back_as_it_was_written() -> None:
    """The settings' spelling and the record are the same thing."""
    quota = Quota(1, 2, 3072, 4096, 5, 6)
    assert parse_quota(format_quota(quota)) == quota
    assert parse_quota("cpu=9", quota) == Quota(1, 9, 3072, 4096, 5, 6)
    for wrong in ("cpu", "cpu=x", "apples=3", "memory_mib=1", "memory=-1"):
        with pytest.raises(ValidationFailed):
            parse_quota(wrong)


def test_a_quota_names_what_is_missing() -> None:
    """The message says what was asked, what is left and what the limit is."""
    quota, used = Quota(2, 4, 4096, 10240, 0, 0), Quota(1, 3, 1024, 5120, 0, 0)
    check_fits(quota, used, Quota(1, 1, 1024, 1024, 0, 0))
    with pytest.raises(QuotaExceeded, match="2 CPUs requested, 1 left of your 4"):
        check_fits(quota, used, Quota(1, 2, 1024, 1024, 0, 0))
    with pytest.raises(QuotaExceeded, match="4 GiB of memory requested, 3 GiB left of your 4 GiB"):
        check_fits(quota, used, Quota(1, 1, 4096, 1024, 0, 0))
    with pytest.raises(QuotaExceeded, match="2 containers"):
        check_fits(quota, Quota(2, 0, 0, 0, 0, 0), Quota(1, 1, 1, 1, 0, 0))


def test_who_is_over_a_lowered_quota_can_still_shrink() -> None:
    """Only what is asked for is judged."""
    check_fits(Quota(1, 1, 100, 100, 0, 0), Quota(3, 9, 900, 900, 0, 0), Quota(0, -1, -100, 0, 0, 0))
    with pytest.raises(QuotaExceeded):
        check_fits(Quota(1, 1, 100, 100, 0, 0), Quota(3, 9, 900, 900, 0, 0), Quota(0, 1, 0, 0, 0, 0))
    assert Quota(1, 1, 1, 1, 1, 1).minus(Quota(9, 9, 9, 9, 9, 9)) == NOTHING


def test_a_password_is_measured_in_bytes() -> None:
    """72 bytes are taken, 73 refused; 24 Chinese characters fit, 25 do not."""
    for good in ("x" * 72, "密" * 24, "12345678"):
        assert check_password(good) == good
    for bad in ("x" * 73, "密" * 25, "1234567", "", "nul\0-inside", "\ud800" * 9, None):
        with pytest.raises(ValidationFailed):
            check_password(bad)


def test_an_email_address_has_one_at_sign_and_a_domain() -> None:
    """Nothing harmful passes for one."""
    assert check_email("a@example.org") == "a@example.org"
    for bad in ("", "a", "a@b", "a@@b.c", "a b@c.d", "a@b.c\n", "a\x1b@b.c", "x" * 250 + "@b.cd", None):
        with pytest.raises(ValidationFailed):
            check_email(bad)


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "a\x07b", "\x9b31m", "\u202eabc", "\u200b", "\u2028", "\udc80", "\U000e0041"]
)
def test_harmful_characters_do_not_survive_cleaning(text: str) -> None:
    """What acts on a terminal or deceives a reader is gone."""
    assert not is_plain(text)
    assert is_plain(clean(text))


@given(st.text())
def test_cleaned_text_is_always_plain_and_short(text: str) -> None:
    """Whatever comes in."""
    assert is_plain(clean(text, 50))
    assert len(clean(text, 50)) <= 50


def test_a_tenant_may_touch_their_own_and_nothing_else() -> None:
    """The policy's table, seen from each role."""

    class Thing:
        user_id = 7

    mine, theirs = Actor(Role.TENANT, 7, "a"), Actor(Role.TENANT, 8, "b")
    for action in Action:
        assert may(SYSTEM, action, Thing())
        assert may(Actor(Role.ADMIN, 1, "r"), action, Thing())
        assert may(anonymous("api"), action, Thing()) is (action is Action.REGISTER)
        if action not in (Action.IMAGE_VIEW, Action.IMAGE_IMPORT):
            assert not may(theirs, action, Thing())
    assert may(mine, Action.CONTAINER_DELETE, Thing())
    for admin_only in (Action.USER_MANAGE, Action.QUOTA_SET, Action.CONTAINER_ADOPT, Action.USER_VIEW):
        assert not may(mine, admin_only, Thing())
    with pytest.raises(Forbidden):
        require(mine, Action.USER_MANAGE)
    with pytest.raises(Unauthenticated):
        require(anonymous("api"), Action.CONTAINER_VIEW)


def test_every_error_has_a_code_and_a_line_in_the_tree() -> None:
    """The tree in the docstring is the tree in the code."""
    import openlxd_core.domain.errors as module

    for cls in error_tree()[1:]:
        assert cls.code != OpenLXDError.code
        assert cls.__name__ in (module.__doc__ or "")
    assert RateLimited("{seconds}", 2.6).retry_after == 2.6
