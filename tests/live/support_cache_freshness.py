"""How long a response is fresh, and how old it is (RFC 9111 §4.2, §5.1, §5.3; RFC 9213)."""

from __future__ import annotations

from tests.live.support_cache_checks import Check, Step, age_of, asked, check, hit, validated

CC = "Cache-Control: "
TAG = 'ETag: "a"'
OLD = "Last-Modified: {-864000}"
S9111 = "RFC 9111 §4.2.1"


def _fresh(source: str, why: str, *lines: str) -> Check:
    return check(source, why, asked(*lines, TAG), hit())


def _stale(source: str, why: str, *lines: str) -> Check:
    return check(source, why, asked(*lines, TAG), validated())


_LIFETIMES = (
    _fresh(S9111, "max-age", CC + "max-age=60"),
    _fresh("RFC 9111 §5.2", "the quoted form is accepted too", CC + 'max-age="60"'),
    _fresh("RFC 9111 §5.2", "a quoted form may have escapes", CC + 'max-age="6\\0"'),
    _fresh("RFC 9111 §5.2", "directives have no case", CC + "MAX-age=60"),
    _fresh("RFC 9110 §5.6.1", "white space and empty members around commas", CC + ",\t, max-age=60 ,\t,"),
    _fresh("RFC 9110 §5.3", "several lines are one list", CC + "foo", CC + "max-age=60"),
    _fresh(S9111, "leading zeros are digits", CC + "max-age=0060"),
    _fresh("RFC 9111 §1.2.2", "2^31", CC + "max-age=2147483648"),
    _fresh("RFC 9111 §1.2.2", "2^32", CC + "max-age=4294967296"),
    _fresh("RFC 9111 §1.2.2", "what no integer holds", CC + "max-age=" + "9" * 60),
    _fresh(S9111, "the same twice", CC + "max-age=60, max-age=60"),
    _stale(S9111, "the first of two, or stale", CC + "max-age=0, max-age=60"),
    _stale(S9111, "the first of two lines, or stale", CC + "max-age=0", CC + "max-age=60"),
    *[_stale(S9111, f"no integer is stale: {value}", CC + value) for value in (
        "max-age=-1", "max-age=1.5", "max-age=abc", "max-age=", "max-age", "max-age=60s", "max-age=0x3c", "max-age=+60", "max-age=6 0",
        "max-age = 60", "max-age =60", "max-age= 60", "max-age='60'", 'max-age="60', 'max-age=" 60"', "max-age=60;a=b", "max-age:60",
        "s-maxage=abc, max-age=60", "s-maxage=-1, max-age=60", "s-maxage, max-age=60", "max-age=6e1")],
    _stale(S9111, "only the whole name counts", CC + "x-max-age=60, max-agex=60"),
    _stale("RFC 9110 §5.6.4", "what is quoted is no directive", CC + 'a="max-age=60", b=", max-age=60,"'),
    _stale("RFC 9111 §5.2.2.1", "a lifetime of nothing", CC + "max-age=0"),
    _fresh("RFC 9111 §5.2.2.10", "s-maxage overrides max-age", CC + "s-maxage=60, max-age=0"),
    _stale("RFC 9111 §5.2.2.10", "s-maxage overrides, shorter", CC + "max-age=60, s-maxage=0"),
    _fresh("RFC 9111 §5.3", "s-maxage overrides Expires", CC + "s-maxage=60", "Expires: {-60}"),
    _fresh("RFC 9111 §5.3", "max-age overrides Expires", CC + "max-age=60", "Expires: 0"),
    _stale("RFC 9111 §5.3", "max-age overrides a later Expires", CC + "max-age=0", "Expires: {+600}"),
    _stale("RFC 9111 §5.3", "a malformed max-age too", CC + "max-age=x", "Expires: {+600}"),
    _stale("RFC 9111 §5.2.2.4", "no-cache beats max-age", CC + "no-cache, max-age=60"),
    _stale("RFC 9111 §5.2.2.4", "no-cache beats immutable", CC + "no-cache, max-age=60, immutable"),
    _stale("RFC 9111 §5.2.2.4", "no-cache in capitals, on a line of its own", CC + "max-age=60", CC + "No-Cache"),
)  # fmt: skip

_EXPIRES = (
    _fresh("RFC 9111 §5.3", "Expires", "Expires: {+60}"),
    _fresh("RFC 9110 §5.6.7", "the form of RFC 850", "Expires: {+600 rfc850}"),
    _fresh("RFC 9110 §5.6.7", "the form of asctime", "Expires: {+600 asctime}"),
    _fresh(S9111, "without Date: from when it came", "Expires: {+60}", "Date: -"),
    _fresh(S9111, "Date of no form: as if there were none", "Expires: {+60}", "Date: yesterday"),
    _fresh(S9111, "minus Date, not minus now", "Expires: {+7200}", "Date: {+3600}"),
    _stale(S9111, "minus Date: before a late Date", "Expires: {+1800}", "Date: {+3600}"),
    _fresh(S9111, "minus Date: an early Date makes it older too", "Expires: {+50}", "Date: {-50}"),
    _stale("RFC 9111 §4.2.3", "Expires has passed since Date", "Expires: {-10}", "Date: {-100}"),
    _stale("RFC 9111 §4.2", "the age reaches what Expires gives", "Expires: {+50}", "Age: 50"),
    _stale("RFC 9111 §4.2", "Expires that is Date", "Expires: {+0}"),
    _fresh("RFC 9110 §5.6.7", "far in the future", "Expires: Fri, 31 Dec 9999 23:59:59 GMT"),
    *[_stale("RFC 9111 §5.3", f"an invalid date is in the past: {value or 'empty'}", f"Expires: {value}") for value in (
        "0", "-1", "", "never", "Thu, 99 Dec 2099 16:00:00 GMT", "Thu, 01 Foo 2099 16:00:00 GMT", "2099-12-01T16:00:00Z", "4102444800",
        "Tue, 01 Dec 2099 25:00:00 GMT", "Tue, 01 Dec 2099 16:00 GMT", "Tue 01 Dec 2099 16:00:00 GMT x", "Thu, 01 Dec 1994 16:00:00 GMT")],
    *[_stale("RFC 9111 §4.2", f"another zone than GMT is invalid: {zone}", f"Expires: Tue, 01 Dec 2099 16:00:00 {zone}") for zone in (
        "EST", "PST", "+0000", "AEST", "")],
    check("RFC 9111 §4.2", "dates are matched in any case", asked("Expires: tue, 01 dec 2099 16:00:00 gmt", TAG), hit()),
    _stale("RFC 9110 §5.6.7", "two digits of a year over 50 years ahead are past", "Expires: Sunday, 06-Nov-94 08:49:37 GMT"),
    _stale(S9111, "the first of two, or stale", "Expires: {-60}", "Expires: {+60}"),
    _stale("RFC 9111 §4.2.2", "no guess beside Expires", "Expires: {-60}", OLD),
    _stale("RFC 9111 §4.2.2", "no guess beside an invalid Expires", "Expires: 0", OLD),
    _stale("RFC 9111 §4.2.2", "no guess beside max-age", CC + "max-age=0", OLD),
    _fresh("RFC 9111 §4.2.2", "a tenth of the time since Last-Modified", OLD),
    _stale("RFC 9111 §4.2.2", "which age can exceed", OLD, "Age: 86500"),
    _stale("RFC 9111 §4.2.2", "modified in the future: no guess", "Last-Modified: {+3600}"),
)  # fmt: skip


def _aged(why: str, *lines: str, least: int, source: str = "RFC 9111 §4.2.3") -> Check:
    """A hit has at least this age, and little more."""
    return check(
        source,
        why,
        asked(CC + "max-age=600", TAG, *lines),
        hit(holds=lambda answer: least <= age_of(answer) <= least + 4),
    )


_AGES = (
    _aged("none told", least=0),
    _aged("Age of a cache before us is added to", "Age: 30", least=30),
    _aged("a Date that is past", "Date: {-40}", least=40),
    _aged("the larger of both", "Date: {-40}", "Age: 100", least=100),
    _aged("a Date to come makes nothing younger", "Date: {+3600}", "Age: 20", least=20),
    _aged("a Date of no form", "Date: now", "Age: 20", least=20),
    _aged("the first of several", "Age: 20, 599", least=20, source="RFC 9111 §5.1"),
    _aged("the first of several lines", "Age: 20", "Age: 599", least=20, source="RFC 9111 §5.1"),
    *[_aged(f"invalid, so ignored: {value or 'empty'}", f"Age: {value}", least=0, source="RFC 9111 §5.1") for value in (
        "-7200", "abc", "7200.0", '"7200"', "", "7200s", "+7200", "0x1c20", "7200;a=b")],
    _stale("RFC 9111 §5.1", "the first of several, here the older", CC + "max-age=60", "Age: 100, 0"),
    _stale("RFC 9111 §4.2.3", "Age that exceeds the lifetime", CC + "max-age=60", "Age: 61"),
    _stale("RFC 9111 §4.2", "Age that equals the lifetime", CC + "max-age=60", "Age: 60"),
    _stale("RFC 9111 §4.2.3", "Age before s-maxage", CC + "s-maxage=60, max-age=1000", "Age: 100"),
    _stale("RFC 9111 §1.2.2", "an Age that no integer holds", CC + "max-age=1000", "Age: " + "9" * 60),
    _stale("RFC 9111 §1.2.2", "2^31 is the end of age and lifetime", CC + "max-age=" + "9" * 30, "Age: " + "9" * 30),
    _stale("RFC 9111 §4.2.3", "a Date further past than the lifetime", CC + "max-age=60", "Date: {-100}"),
    check("RFC 9111 §4.2.3", "a passed-on answer keeps the Age that came", asked(CC + "max-age=60", "Age: 30", holds=lambda answer: age_of(answer) >= 30)),
    check("RFC 9111 §4.2.3", "what a validation brought is as old as it says", asked(CC + "max-age=60", "Age: 100", TAG),
          validated(CC + "max-age=60", TAG, "Age: 30"), hit(holds=lambda answer: 30 <= age_of(answer) < 34)),
    check("RFC 9111 §4.2.3", "age counts from the validation", asked(CC + "max-age=60", "Age: 100", TAG),
          validated(TAG, holds=lambda answer: "Age" not in answer or age_of(answer) < 4), hit(holds=lambda answer: age_of(answer) < 4)),
)  # fmt: skip


def _targeted(why: str, used: bool, *lines: str) -> Check:
    """Whether a targeted field makes a response fresh."""
    return check("RFC 9213 §2", why, asked(*lines, TAG), hit() if used else validated())


CDN = "CDN-Cache-Control: "
_TARGETED = (
    _targeted("it grants what Cache-Control forbids", True, CDN + "max-age=60", CC + "no-store, private"),
    _targeted("it grants what Cache-Control's no-cache forbids", True, CDN + "max-age=60", CC + "no-cache"),
    _targeted("it overrides Expires", True, CDN + "max-age=60", "Expires: 0"),
    _targeted("its no-cache counts", False, CDN + "no-cache", CC + "max-age=60"),
    _targeted("s-maxage before max-age in it", False, CDN + "s-maxage=0, max-age=60"),
    _targeted("without a lifetime it has Cache-Control ignored all the same", False, CDN + "must-revalidate", CC + "max-age=60"),
    _targeted("and Expires", False, CDN + "must-revalidate", "Expires: {+60}"),
    _targeted("several lines are one dictionary", True, CDN + "must-revalidate", CDN + "max-age=60", CC + "no-cache"),
    _targeted("of one key twice the last counts", True, CDN + "max-age=0, max-age=60"),
    _targeted("of one key twice the last counts, less", False, CDN + "max-age=60, max-age=0", CC + "max-age=60"),
    _targeted("parameters are ignored", True, CDN + "max-age=60;a=b;no-cache", CC + "max-age=0"),
    _targeted("unknown directives are ignored", True, CDN + "max-age=60, ext=(1 2)", CC + "max-age=0"),
    _targeted("a false is no directive", True, CDN + "max-age=60, foo=?0", CC + "no-cache"),
    *[_targeted(f"broken or empty, so ignored, for better: {value or 'empty'}", True, CDN + value, CC + "max-age=60") for value in (
        "", "max-age=0,", "Max-Age=0", "max-age=0; no-cache=", "no-store no-cache", "no-cache, =", "max-age =0", "&", "no-cache, a=\"", "max-age=1234567890123456")],
    *[_targeted(f"broken, so ignored, for worse: {value}", False, CDN + value, CC + "max-age=0") for value in (
        "max-age=60,", "MAX-AGE=60", "max-age = 60", "max-age=60 s", "max-age=60, ,", "max-age=60, a=\u0022")],
    *[_targeted(f"a value of another type is not coerced: {value}", False, CDN + value, CC + "max-age=60") for value in (
        "max-age=60.0", 'max-age="60"', "max-age=abc", "max-age", "max-age=-60", "max-age=?1", "max-age=(60)")],
    _targeted("what is on nobody's list changes nothing", False, "Other-CDN-Cache-Control: max-age=60", CC + "max-age=0"),
    check("RFC 9213 §2.2", "what is on nobody's list passes", asked(CC + "max-age=60", "Other-CDN-Cache-Control: no-store"),
          hit(has=("Other-CDN-Cache-Control: no-store",))),
    check("RFC 9213 §2.2", "its no-store counts", asked(CDN + "no-store", CC + "max-age=60"), asked()),
    check("RFC 9213 §2.2", "its no-store beside max-age", asked(CDN + "no-store, max-age=60"), asked()),
    check("RFC 9213 §2.2", "its private counts", asked(CDN + "private, max-age=60", CC + "max-age=60"), asked()),
    check("RFC 9213 §2.2", "its must-revalidate counts", asked(CDN + "max-age=60, must-revalidate", "Age: 100", TAG),
          validated(to=("Cache-Control: max-stale",))),
    check("RFC 9213 §2.2", "Cache-Control passes to the next cache", asked(CDN + "max-age=60", CC + "no-store", has=(CC + "no-store",)), hit(has=(CC + "no-store",))),
    check("RFC 9213 §2.1", "no-cache with names is a string", asked(CDN + 'max-age=60, no-cache="x-a"', "X-A: 1"), hit(lacks=("X-A",))),
)  # fmt: skip

_STALE = (CC + "max-age=60", "Age: 100", TAG)


def _demanded(why: str, lines: tuple[str, ...], *to: str, then: Step, section: str) -> Check:
    return check(f"RFC 9111 §5.2.1{section}", why, asked(*lines, TAG), then_to(then, *to))


def then_to(step: Step, *to: str) -> Step:
    return Step(step.who, step.reply, to, code=step.code)


_OLDISH = (CC + "max-age=600", "Age: 100")
_REQUESTS = (
    _demanded("no-cache", _OLDISH, CC + "no-cache", then=validated(), section=".4"),
    _demanded("no-cache in capitals", _OLDISH, CC + "NO-CACHE", then=validated(), section=".4"),
    _demanded("max-age=0 of a reload", _OLDISH, CC + "max-age=0", then=validated(), section=".1"),
    _demanded("max-age below the age", _OLDISH, CC + "max-age=50", then=validated(), section=".1"),
    _demanded("max-age above the age", _OLDISH, CC + "max-age=300", then=hit(), section=".1"),
    _demanded("a huge max-age", _OLDISH, CC + "max-age=" + "9" * 40, then=hit(), section=".1"),
    _demanded("max-age accepts nothing stale", (CC + "max-age=60", "Age: 100"), CC + "max-age=1000", then=validated(), section=".1"),
    _demanded("max-age with max-stale does", (CC + "max-age=60", "Age: 100"), CC + "max-age=1000, max-stale", then=hit(), section=".1"),
    _demanded("min-fresh that is left", _OLDISH, CC + "min-fresh=400", then=hit(), section=".3"),
    _demanded("min-fresh that is not left", _OLDISH, CC + "min-fresh=550", then=validated(), section=".3"),
    _demanded("max-stale of any age", (CC + "max-age=60", "Age: 100"), CC + "max-stale", then=hit(), section=".2"),
    _demanded("max-stale that suffices", (CC + "max-age=60", "Age: 100"), CC + "max-stale=100", then=hit(), section=".2"),
    _demanded("max-stale that does not", (CC + "max-age=60", "Age: 100"), CC + "max-stale=20", then=validated(), section=".2"),
    _demanded("max-stale, broken", (CC + "max-age=60", "Age: 100"), CC + "max-stale=abc", then=validated(), section=".2"),
    _demanded("max-stale against must-revalidate", (CC + "max-age=60, must-revalidate", "Age: 100"), CC + "max-stale", then=validated(), section=".2"),
    _demanded("max-stale against proxy-revalidate", (CC + "max-age=60, proxy-revalidate", "Age: 100"), CC + "max-stale", then=validated(), section=".2"),
    _demanded("max-stale against s-maxage", (CC + "s-maxage=60", "Age: 100"), CC + "max-stale", then=validated(), section=".2"),
    _demanded("max-stale against no-cache", (CC + "no-cache, max-age=60",), CC + "max-stale", then=validated(), section=".2"),
    _demanded("unknown directives are ignored", _OLDISH, CC + 'foo, bar="no-cache"', then=hit(), section=""),
    _demanded("only-if-cached and fresh", _OLDISH, CC + "only-if-cached", then=hit(), section=".7"),
    _demanded("only-if-cached and stale", (CC + "max-age=60", "Age: 100"), CC + "only-if-cached", then=hit(code=504), section=".7"),
    _demanded("only-if-cached and no-cache", _OLDISH, CC + "only-if-cached, no-cache", then=hit(code=504), section=".7"),
    _demanded("only-if-cached, stale accepted", (CC + "max-age=60", "Age: 100"), CC + "only-if-cached, max-stale", then=hit(), section=".7"),
    check("RFC 9111 §5.2.1.7", "only-if-cached and nothing stored", hit(CC + "only-if-cached", code=504), asked()),
    check("RFC 9211 §2", "an answer of the proxy's own has no Cache-Status", hit(CC + "only-if-cached", code=504, lacks=("Cache-Status",))),
    check("RFC 9111 §5.4", "Pragma: no-cache", asked(*_OLDISH, TAG), validated(to=("Pragma: no-cache",))),
    check("RFC 9111 §5.4", "Pragma gives way to Cache-Control", asked(*_OLDISH, TAG), hit("Pragma: no-cache", CC + "max-age=300")),
    check("RFC 8246 §2", "immutable spares a reload", asked(CC + "max-age=600, immutable", TAG), hit(CC + "max-age=0")),
    check("RFC 8246 §2", "not once it is stale", asked(CC + "max-age=60, immutable", "Age: 100", TAG), validated()),
    check("RFC 8246 §2", "its argument has no meaning", asked(CC + "max-age=600, immutable=x", TAG), hit(CC + "max-age=0")),
)  # fmt: skip

FRESHNESS: tuple[Check, ...] = (*_LIFETIMES, *_EXPIRES, *_AGES, *_TARGETED, *_REQUESTS)
