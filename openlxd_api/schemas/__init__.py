"""What goes in and out, as types: the API's promise, apart from the core's records."""

from openlxd_api.schemas.account import ProfileChange, SignedIn, SignIn, UserView
from openlxd_api.schemas.base import Body, Deleted, NoQuery, Pending, View, Waiting
from openlxd_api.schemas.container import ContainerView
from openlxd_api.schemas.system import DatabaseHealth, Health, LxdHealth, OperationView

__all__ = [
    "Body",
    "ContainerView",
    "DatabaseHealth",
    "Deleted",
    "Health",
    "LxdHealth",
    "NoQuery",
    "OperationView",
    "Pending",
    "ProfileChange",
    "SignIn",
    "SignedIn",
    "UserView",
    "View",
    "Waiting",
]
