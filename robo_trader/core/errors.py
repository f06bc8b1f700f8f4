"""One tree of errors; each docstring says who catches it. Bad input data is a value, not an exception."""


class RoboTraderError(Exception):
    """Anything this package raises on purpose; the command line turns it into a message and an exit code."""

    exit_code = 1


class NobodyAnswers(RoboTraderError):
    """No running process took a command; caught by whoever has another way to give it, else by the command line."""


class ConfigurationError(RoboTraderError):
    """A setting, flag or file the user gave is wrong; caught by the command line, exit 2."""

    exit_code = 2


class BrokerUnreachable(RoboTraderError):
    """No usable TWS session could be had; caught by the daemon's back-off, at the end by the command line, exit 3."""

    exit_code = 3


class ConnectionLost(RoboTraderError):
    """The broker's session ended or stopped answering; caught by the daemon, which reconnects."""

    exit_code = 3


class DeskHalted(RoboTraderError):
    """The desk can no longer act safely (an order queue is full, a write failed); caught by nobody, exit 4."""

    exit_code = 4


class DataError(RoboTraderError):
    """A database, tape or model file is unreadable or of the wrong version; caught by the command line, exit 5."""

    exit_code = 5


class InstanceLocked(RoboTraderError):
    """Another daemon holds this account; caught by the command line, exit 6."""

    exit_code = 6


class GateFailed(RoboTraderError):
    """A check the user asked for said no (a replay that differs, a model that proves nothing); exit 7."""

    exit_code = 7


class InboxFull(DeskHalted):
    """An event that must not be dropped met a full inbox; the daemon ends rather than lose it."""


class LedgerError(RoboTraderError):
    """The ledger was asked for the impossible (a price of NaN, an unknown currency); ends the daemon."""
