"""How resolvers put on the wire what their rules say: ports, IDs, and the order of questions.

``resolver/models.py`` says which names are asked, how often and after which timers. What stands
here decides nothing of that; measured with the releases that it names.
"""

from __future__ import annotations

from dataclasses import dataclass

from pcapkit.errors import UsageError
from pcapkit.resolver.models import ResolverModel, resolver_model

#: What a socket, and so a port, belongs to: a question, a candidate, or all that a lookup asks.
QUESTION, CANDIDATE, LOOKUP = range(3)


@dataclass(frozen=True, slots=True)
class Habits:
    """What the packets of one resolver look like."""

    port_of: int
    near_ids: bool = False  #: message IDs are taken from the clock, and lie close together
    any_order: bool = False  #: AAAA may go before A
    again_from_new_port: bool = False
    again_with_new_id: bool = False
    asks_one_type: bool = False  #: A alone, where the application does not ask for AAAA
    timers_s: tuple[float, ...] = ()  #: after each sending, where the model's are not to be derived
    lifetime_s: float | None = None  #: of a whole lookup: then it ends, whatever it waits for
    hears_refusals: bool = True  #: connects its sockets, so that ICMP messages reach it


HABITS: dict[str, Habits] = {
    "glibc": Habits(CANDIDATE),
    "musl": Habits(CANDIDATE, near_ids=True, hears_refusals=False),
    "go": Habits(QUESTION, any_order=True, again_from_new_port=True, again_with_new_id=True),
    "c-ares": Habits(LOOKUP, timers_s=(5.0, 10.0, 20.0)),
    "dnspython": Habits(
        QUESTION,
        again_from_new_port=True,
        again_with_new_id=True,
        asks_one_type=True,
        timers_s=(2.0, 2.0, 1.0),
        lifetime_s=5.0,
        hears_refusals=False,
    ),
    "bind-nslookup": Habits(QUESTION, again_from_new_port=True),
    "busybox": Habits(LOOKUP, timers_s=(2.5, 2.5)),
}


def playable(text: str) -> tuple[ResolverModel, Habits]:
    """Return the rules and the habits of a resolver, or of a release of it.

    Raises UsageError where there is none, or what it sends hangs on what it keeps in memory.
    """
    model = resolver_model(text)
    if model.keeps_answers:
        hint = " (c-ares@1.30 keeps none)" if model.name == "c-ares" else ""
        raise UsageError(f"{text} keeps answers, which is not played{hint}")
    if model.name not in HABITS:
        raise UsageError(f"{text} is not played: {', '.join(HABITS)}")
    return model, HABITS[model.name]
