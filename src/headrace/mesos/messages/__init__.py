"""The Mesos v1 API as structs. Field names are the API's; unset fields are left out when written.

Clients may send ``null`` for any field that they leave unset, so every optional field accepts it.
Enumerations are plain strings: an unknown one is treated as absent, as Mesos does.
Source: Apache Mesos 1.11, include/mesos/v1/{mesos,scheduler}.proto and recorded traffic.
"""
