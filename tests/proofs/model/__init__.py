"""An exhaustive model check of the booking protocol.

``policies`` are variants of the protocol, ``model`` is the transition system, ``invariants`` must hold in
every snapshot, ``search`` explores all snapshots, ``environments`` lists what is explored.
"""
