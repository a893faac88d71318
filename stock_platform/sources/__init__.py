"""Sources: one folder a vendor (config, client, parse), behind one protocol.

``base`` has the protocol and what an answer is, ``http`` and ``cache`` the shared HTTP
layer, ``quota`` the limits, ``registry`` the list of vendors. Vendors know nothing of
each other, of settings, or of storage.
"""
