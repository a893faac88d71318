"""The story of a cell in sentences: what people read before they look at numbers.

Belongs here: wording what explaining.py gathered. Does not: gathering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

AGREE = 1e-4
"""Closes no farther apart than this agree, as far as vendors round."""

STAND_OUT = 0.02

_HTTP_ERROR = 400


def story(facts: Mapping[str, Any]) -> list[str]:
    """What happened to the cell, a sentence each."""
    told = [*_day(facts), *_state(facts), *_failures(facts)]
    told += [line for quote in facts["quotes"] for line in _quote(quote)]
    told += [
        f"{row['source']} sent a row that could not be read ({', '.join(row['reasons'])}); it is "
        f"in quarantine as {row['quarantine_id'][:8]}."
        for row in facts["unreadable"]
    ]
    told += list(map(_decision, facts["decisions"]))
    if facts["price"]:
        price = facts["price"]
        told.append(f"The price is {price['source']}'s close of {price['close']:,.10g}: "
                    f"{facts['why']}.")  # fmt: skip
        if price["flags"]:
            told.append(f"It carries the marks {', '.join(sorted(set(price['flags'])))}.")
    elif facts["quotes"]:
        told.append(f"There is no price: {facts['why']}.")
    return told


def _day(facts: Mapping[str, Any]) -> list[str]:
    day, asset = facts["date"], facts["asset"]
    told = []
    if asset["ticker"] != asset["asked"]:
        told.append(f"{asset['asked']} is the asset that is called {asset['ticker']} now.")
    if facts["closed_because"]:
        told.append(
            f"{day:%A} {day} is no session of {asset['calendar']}: {facts['closed_because']}."
        )
    listed, gone = asset["listed_on"], asset["delisted_on"]
    if listed and day < listed:
        told.append(f"{asset['ticker']} was listed on {listed}, after that day.")
    if gone and day > gone:
        told.append(f"{asset['ticker']} was delisted on {gone}, before that day.")
    session = facts["session"]
    if session and session["half_day"]:
        told.append(f"The session closed early, at {session['closes']:%H:%M} UTC.")
    if session and session["closes"] > facts["now"]:
        told.append(f"The session is not over: it closes at {session['closes']:%Y-%m-%d %H:%MZ}.")
    return told


def _state(facts: Mapping[str, Any]) -> list[str]:
    cell = facts["cell"]
    if cell is None:
        if facts["closed_because"]:
            return []
        return ["Nobody has asked for this cell yet."] if not facts["quotes"] else []
    by = f" {cell['source']}" if cell["source"] else ""
    why = f": {cell['reason']}" if cell["reason"] else ""
    until = f"{cell['retry_after']:%Y-%m-%d %H:%MZ}" if cell["retry_after"] else "the next run"
    match cell["status"]:
        case "stored":
            return []
        case "no_data":
            voices = [name for name in cell["source"].split(", ") if name] if by else []
            if len(voices) > 1:
                return [
                    f"{' and '.join(voices)} say that there is no bar of that day: a halt{why}."
                ]
            return [f"{by.strip() or 'The source'} says that there is no bar of that day{why}."]
        case "not_listed":
            return [f"The ledger has it as not listed on that day{why}."]
        case "waiting":
            return [f"It waits for{by or ' a source'} until {until}{why}."]
        case _:
            tries = f" after {cell['attempts']} tries" if cell["attempts"] > 1 else ""
            return [f"It could not be had from{by or ' any source'}{tries}{why}; due {until}."]


def _failures(facts: Mapping[str, Any]) -> list[str]:
    """What each source's failed calls said, the last of a kind, and who stood in."""
    last = {(c["source"], c["status"]): c for c in facts["failed_calls"]}
    came = {q["source"] for q in facts["quotes"]}
    told = []
    for (source, status), call in last.items():
        http = f", HTTP {call['http_status']}" if (call["http_status"] or 0) >= _HTTP_ERROR else ""
        told.append(
            f"{source} was asked on {call['finished_at']:%Y-%m-%d %H:%MZ} and failed: "
            f"{status.replace('_', ' ')}{http}."
        )
    down = sorted({source for source, _ in last} - came)
    if down and came:
        told.append(f"{' and '.join(sorted(came))} stood in for {' and '.join(down)}.")
    return told


def _quote(quote: Mapping[str, Any]) -> list[str]:
    name, came, traded = quote["source"], quote["as_it_came"], quote["as_traded"]
    close = came["close"]
    said = f"{name} said a close of {close:,.10g}" if close is not None else f"{name} sent no close"
    said += f" ({quote['basis'].replace('_', ' ')}), fetched {quote['fetched_at']:%Y-%m-%d %H:%MZ}"
    if (
        traded
        and traded["close"] is not None
        and close
        and abs(traded["close"] / close - 1) > AGREE
    ):
        said += f"; as traded {traded['close']:,.10g}"
    told = [f"{said}."]
    if quote["outcome"] == "quarantined":
        failed = [r for r in quote["rules"] if r["rule"] in quote["reasons"]]
        words = [r["rule"] + (f" ({r['detail']})" if r["detail"] else "") for r in failed]
        known = {r["rule"] for r in failed}
        words += [reason for reason in quote["reasons"] if reason not in known]
        told.append(
            f"{name}'s quote is in quarantine as {quote['quarantine_id'][:8]}: it failed "
            f"{'; '.join(words)}."
        )
    else:
        told += _doubts(quote)
    return told


def _doubts(quote: Mapping[str, Any]) -> list[str]:
    """What rules found wrong with a quote that was not put aside for it."""
    failed = [
        r["rule"] + (f" ({r['detail']})" if r["detail"] else "")
        for r in quote["rules"]
        if r["verdict"] == "failed"
    ]
    if not failed:
        return []
    repaired = "repaired" in quote["flags"]
    ended = "; the repair is certain, and was made" if repaired else ""
    return [f"{quote['source']}'s quote stands out: {'; '.join(failed)}{ended}."]


def _decision(row: Mapping[str, Any]) -> str:
    did = "accepted" if row["verdict"] == "accept" else "rejected"
    ended = f" It is void since {row['voided_at']:%Y-%m-%d %H:%MZ}: {row['voided_why']}." if (
        row["voided_at"]
    ) else ""  # fmt: skip
    return (
        f"{row['decided_by']} {did} {row['source']}'s quote on {row['decided_at']:%Y-%m-%d}: "
        f"{row['reason'].rstrip('.')}.{ended}"
    )


def chosen_because(facts: Mapping[str, Any], preference: Sequence[str]) -> str:
    """Why this quote is the price, or why none is."""
    price, quotes = facts["price"], facts["quotes"]
    if price is None:
        if not quotes:
            return "nothing is stored of that day"
        if any(q["outcome"] == "not judged yet" for q in quotes):
            return "the stored quotes have not been validated yet"
        return "every quote of that day failed a rule"
    chosen = next((q for q in quotes if q["outcome"] == "chosen"), None)
    if chosen is None:
        return "the quote that it was made from is not stored any more"
    others = [q for q in quotes if q["outcome"] == "not chosen"]
    if chosen["decision"] == "accept":
        why = "a person accepted it"
    elif not others:
        aside = any(q["outcome"] == "quarantined" for q in quotes)
        why = "it is the only quote that passed" if aside else "it is the only quote of that day"
    elif all(q["source"] == chosen["source"] for q in others):
        first = all(chosen["ts"] < q["ts"] for q in others)
        place = "the first" if first else "one"
        why = f"it is {place} of {chosen['source']}'s {len(others) + 1} bars of that day"
    elif (
        "repaired" not in price["flags"]
        and chosen["basis"] == "as_traded"
        and any(q["basis"] != "as_traded" for q in others)
    ):
        why = "it came as traded, where splits had to be undone in others"
    else:
        names = [q["source"] for q in others]
        order = [n for n in preference if n in (*names, chosen["source"])]
        why = f"it goes first in the order of preference ({', '.join(order) or 'by name'})"
    return why + "".join(_beside(price, q) for q in others)


def _beside(price: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    close = (other["as_traded"] or {}).get("close")
    if not close:
        return ""
    apart = abs(close / price["close"] - 1)
    if apart <= AGREE:
        return f"; {other['source']} agrees"
    kind = "says otherwise" if apart > STAND_OUT else "differs"
    return f"; {other['source']} {kind} by {apart:.2%}"
