"""The booking protocol, walked through exhaustively: ``policies``, ``model``, ``promises``, ``search``."""
