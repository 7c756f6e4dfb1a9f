"""What a user may set: the values, the file they are written in, and how they are found."""

from imagecatalog.config.loading import load_settings
from imagecatalog.config.settings import (
    CLUSTERS_VARIABLE,
    CONFIG_VARIABLE,
    DATABASE_VARIABLE,
    FEEDS,
    IN_CLUSTER,
    MAX_FILE,
    TOKEN_VARIABLE,
    UNIX_PEER,
    ApiSetting,
    ClairSetting,
    ClusterSetting,
    DeferralSettings,
    HooksSetting,
    LineRule,
    PlanSettings,
    RegistrySetting,
    Settings,
)

__all__ = [
    "CLUSTERS_VARIABLE",
    "CONFIG_VARIABLE",
    "DATABASE_VARIABLE",
    "FEEDS",
    "IN_CLUSTER",
    "MAX_FILE",
    "TOKEN_VARIABLE",
    "UNIX_PEER",
    "ApiSetting",
    "ClairSetting",
    "ClusterSetting",
    "DeferralSettings",
    "HooksSetting",
    "LineRule",
    "PlanSettings",
    "RegistrySetting",
    "Settings",
    "load_settings",
]
