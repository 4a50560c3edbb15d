"""Numbers of the wire and their IANA mnemonics.

Unknown values are kept, never dropped: types as ``TYPE65280`` (RFC 3597 section 5), rcodes as
``RCODE42``, classes as ``CLASS77``, opcodes as ``OPCODE9``.
Sources: IANA "Domain Name System (DNS) Parameters"; tcpdump.org "Link-layer header types".
"""

from __future__ import annotations

RCODES: dict[int, str] = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
    11: "DSOTYPENI",
    16: "BADVERS",
    17: "BADKEY",
    18: "BADTIME",
    19: "BADMODE",
    20: "BADNAME",
    21: "BADALG",
    22: "BADTRUNC",
    23: "BADCOOKIE",
}
QTYPES: dict[int, str] = {
    1: "A",
    2: "NS",
    3: "MD",
    4: "MF",
    5: "CNAME",
    6: "SOA",
    7: "MB",
    8: "MG",
    9: "MR",
    10: "NULL",
    11: "WKS",
    12: "PTR",
    13: "HINFO",
    14: "MINFO",
    15: "MX",
    16: "TXT",
    17: "RP",
    18: "AFSDB",
    19: "X25",
    20: "ISDN",
    21: "RT",
    22: "NSAP",
    23: "NSAP-PTR",
    24: "SIG",
    25: "KEY",
    26: "PX",
    27: "GPOS",
    28: "AAAA",
    29: "LOC",
    30: "NXT",
    31: "EID",
    32: "NIMLOC",
    33: "SRV",
    34: "ATMA",
    35: "NAPTR",
    36: "KX",
    37: "CERT",
    38: "A6",
    39: "DNAME",
    40: "SINK",
    41: "OPT",
    42: "APL",
    43: "DS",
    44: "SSHFP",
    45: "IPSECKEY",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    49: "DHCID",
    50: "NSEC3",
    51: "NSEC3PARAM",
    52: "TLSA",
    53: "SMIMEA",
    55: "HIP",
    56: "NINFO",
    57: "RKEY",
    58: "TALINK",
    59: "CDS",
    60: "CDNSKEY",
    61: "OPENPGPKEY",
    62: "CSYNC",
    63: "ZONEMD",
    64: "SVCB",
    65: "HTTPS",
    99: "SPF",
    100: "UINFO",
    101: "UID",
    102: "GID",
    103: "UNSPEC",
    104: "NID",
    105: "L32",
    106: "L64",
    107: "LP",
    108: "EUI48",
    109: "EUI64",
    249: "TKEY",
    250: "TSIG",
    251: "IXFR",
    252: "AXFR",
    253: "MAILB",
    254: "MAILA",
    255: "ANY",
    256: "URI",
    257: "CAA",
    258: "AVC",
    259: "DOA",
    260: "AMTRELAY",
    32768: "TA",
    32769: "DLV",
}
#: Types that code decides on, by their mnemonics.
TYPE_A, TYPE_CNAME, TYPE_SOA, TYPE_PTR, TYPE_MX, TYPE_TXT = 1, 5, 6, 12, 15, 16
TYPE_AAAA, TYPE_SRV, TYPE_OPT, TYPE_ANY = 28, 33, 41, 255
QCLASSES: dict[int, str] = {1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}
OPCODES: dict[int, str] = {0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}
LINKTYPES: dict[int, str] = {
    0: "NULL",
    1: "EN10MB",
    9: "PPP",
    12: "RAW",
    14: "RAW",
    50: "PPP_HDLC",
    51: "PPP_ETHER",
    101: "RAW",
    104: "C_HDLC",
    105: "IEEE802_11",
    107: "FRELAY",
    108: "LOOP",
    113: "LINUX_SLL",
    117: "PFLOG",
    119: "IEEE802_11_PRISM",
    127: "IEEE802_11_RADIOTAP",
    147: "USER0",
    149: "USER2",
    192: "PPI",
    195: "IEEE802_15_4",
    220: "USB_LINUX_MMAPPED",
    228: "IPV4",
    229: "IPV6",
    239: "NFLOG",
    240: "NETANALYZER",
    251: "BLUETOOTH_LE_LL",
    253: "NETLINK",
    258: "PKTAP",
    276: "LINUX_SLL2",
}
#: Outcomes of one question as the compiled stages hold them; model.TRANSACTION_OUTCOMES are their
#: texts, in this order.
ANSWER, NODATA, NXDOMAIN, SERVFAIL, REFUSED, OTHER_RCODE, UNANSWERED = range(7)
QTYPE_NUMBERS: dict[str, int] = {text: number for number, text in QTYPES.items()}
RCODE_NUMBERS: dict[str, int] = {text: number for number, text in RCODES.items()}


def qtype_text(number: int) -> str:
    """Return the mnemonic of a query or record type."""
    return QTYPES.get(number, f"TYPE{number}")


def qtype_number(text: str) -> int | None:
    """Return the number of a type mnemonic or of ``TYPEn``; None where it is neither."""
    upper = text.upper()
    if upper.startswith("TYPE") and upper[4:].isdecimal() and len(upper) <= 9:
        return number if (number := int(upper[4:])) < 65536 else None
    return QTYPE_NUMBERS.get(upper)


def rcode_text(number: int) -> str:
    """Return the mnemonic of a (possibly extended) response code."""
    return RCODES.get(number, f"RCODE{number}")


def qclass_text(number: int) -> str:
    """Return the mnemonic of a class."""
    return QCLASSES.get(number, f"CLASS{number}")


def opcode_text(number: int) -> str:
    """Return the mnemonic of an opcode."""
    return OPCODES.get(number, f"OPCODE{number}")


def linktype_text(number: int) -> str:
    """Return the name of a link type without its ``LINKTYPE_`` prefix, as tcpdump prints it."""
    return LINKTYPES.get(number, f"LINKTYPE{number}")
