"""What went wrong far away, in the words of this package: every service has errors of its own.

They are known by the names of their classes and by the codes in them, so that no library of a
service is imported here. Their texts may hold URLs with secrets and are shown only without them.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from pcapkit.errors import (
    ChangedInput,
    DeniedInput,
    InputError,
    MissingInput,
    NoCredentials,
    PcapkitError,
    UnreachableInput,
)

#: By scheme: how a service learns who asks, or why that may not be enough.
_CREDENTIALS = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a bucket that all "
    "may read, FSSPEC_S3_ANON=true",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run 'gcloud auth application-default login'",
    "abfs": "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY, "
    "AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING",
    "sftp": "add a key to the SSH agent, or an IdentityFile for this host to ~/.ssh/config",
    "http": "add the host to ~/.netrc, or use a signed URL",
}
_FAMILIES = (("s3", "s3a"), ("gs", "gcs"), ("abfs", "abfss", "az", "adl"), ("sftp", "ssh"))
#: By scheme: where it stands who asks.
_ASKS = {
    "s3": "is the user of AWS_PROFILE or AWS_ACCESS_KEY_ID allowed to?",
    "gs": "is the account of GOOGLE_APPLICATION_CREDENTIALS allowed to?",
    "abfs": "is the owner of AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN allowed to?",
    "sftp": "is the user of this host allowed to?",
    "http": "is the signature of the URL, or the user in ~/.netrc, still good?",
}
#: Classes, and codes in answers, by what they mean.
_NOBODY = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
    *("ProfileNotFound", "TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"),
    *("DefaultCredentialsError", "RefreshError", "ClientAuthenticationError"),
    *("CredentialUnavailableError", "PermissionDenied", "KeyImportError", "NoAuthHandlerFound"),
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
    *("ExpiredTokenException", "UnrecognizedClientException", "AuthenticationFailed", "401"),
}
_DENIED = {
    *("SFTPPermissionDenied", "AccessDenied", "AllAccessDisabled", "AuthorizationFailure"),
    *("AuthorizationPermissionMismatch", "PermissionError", "Forbidden", "403"),
}
_ABSENT = {
    *("SFTPNoSuchFile", "SFTPNoSuchPath", "ResourceNotFoundError", "NoSuchKey", "NoSuchBucket"),
    *("BlobNotFound", "ContainerNotFound", "FileNotFoundError", "NotADirectoryError"),
    *("404", "410"),
}
_CHANGED = {"FileExpired", "PreconditionFailed", "ResourceModifiedError", "412"}
_UNREACHABLE = {
    *("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "HTTPClientError"),
    *("ConnectionClosedError", "ProxyConnectionError", "SSLError", "ConnectionLost"),
    *("ProtocolError", "DisconnectError", "ServiceRequestError", "ServiceResponseError"),
    *("TransportError", "RetryError", "FSTimeoutError", "ClientPayloadError", "InvalidURL"),
    *("ServerDisconnectedError", "SlowDown", "ServiceUnavailable", "InternalError"),
    *("SFTPConnectionLost", "SFTPNoConnection", "ChannelOpenError", "IncompleteRead"),
}
_SECRETS = (
    (re.compile(r"//[^/\s'\"]*@"), "//"),
    (re.compile(r"\?[^\s'\")>]+"), "?\N{HORIZONTAL ELLIPSIS}"),
)
_MOST_CAUSES = 12


def explained(url: str, problem: BaseException) -> BaseException:
    """Return what to raise for an error that a service, or its library, made of a request."""
    if isinstance(problem, PcapkitError) or not isinstance(problem, Exception):
        return problem
    scheme = url.partition("://")[0].lower()
    family = next((names[0] for names in _FAMILIES if scheme in names), "http")
    if isinstance(problem, ImportError):
        return InputError(
            url, f"{scheme}:// needs more packages", hint="pip install 'pcapkit-dns[remote]'"
        )
    signs = {sign for error in _chain(problem) for sign in _signs(error)}
    text = " ".join(str(error) for error in _chain(problem))
    if family == "abfs" and "account_name" in text or "Anonymous caller" in text:
        signs.add("NoCredentialsError")
    if "HostKeyNotVerifiable" in signs:
        host = "its host key is in no known_hosts"
        return UnreachableInput(url, host, hint="check it, and connect once with ssh")
    if signs & _NOBODY:
        return NoCredentials(url, "credentials are missing, or refused", hint=_CREDENTIALS[family])
    if signs & _CHANGED:
        return ChangedInput(url, "was written over while it was read", hint="read it again")
    if signs & _DENIED:
        return DeniedInput(url, "no permission to read it", hint=_ASKS[family])
    if why := next((w for e in _chain(problem) if (w := _unreachable(e))), None):
        return UnreachableInput(url, why, hint="check the address and the network")
    if signs & _ABSENT:
        return MissingInput(url, "there is no such object or folder", hint="check the address")
    return InputError(url, f"cannot be read: {type(problem).__name__}: {without_secrets(problem)}")


def without_secrets(problem: BaseException) -> str:
    """Return the text of an error without passwords and signatures of URLs in it."""
    text = str(problem) or "no more is known"
    for secret, instead in _SECRETS:
        text = secret.sub(instead, text)
    return text


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was made of."""
    current: BaseException | None = problem
    for _ in range(_MOST_CAUSES):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__


def _signs(problem: BaseException) -> Iterator[str]:
    """Yield the names of an error's classes, and the codes in it."""
    for kind in type(problem).__mro__:
        yield kind.__name__
    response: Any = getattr(problem, "response", None)
    if isinstance(response, dict):  # botocore
        yield str(response.get("Error", {}).get("Code", ""))
    held = getattr(problem, "__dict__", {})
    for name in ("status", "status_code", "code", "error_code"):
        if isinstance(value := held.get(name), (int, str)):
            yield str(value)


def _unreachable(problem: BaseException) -> str | None:
    """Return how a host failed to answer, None where that is not what happened."""
    if isinstance(problem, socket.gaierror):
        return "there is no host of that name"
    if isinstance(problem, ssl.SSLError):
        return "its certificate is not trusted, or it speaks no TLS"
    if isinstance(problem, ConnectionRefusedError):
        return "the host refuses the connection"
    if isinstance(problem, TimeoutError):
        return "the host does not answer"
    signs = set(_signs(problem))
    if isinstance(problem, ConnectionError) or signs & _UNREACHABLE:
        return "the connection failed, or was lost"
    status: Any = getattr(problem, "status", None)
    if isinstance(status, int) and (status >= 500 or status == 429):
        return f"the server answers with an error of its own ({status})"
    connector: Any = getattr(problem, "os_error", None)  # aiohttp
    if isinstance(connector, OSError):
        return _unreachable(connector) or "the host cannot be connected to"
    return None
