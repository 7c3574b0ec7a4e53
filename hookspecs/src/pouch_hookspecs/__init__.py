"""The contract between the Pouch container engine and its plugins: all that a plugin depends on.

Read `hooks.py` first: it has every hook of every role on one page.
"""

from __future__ import annotations

from . import errors
from .containers import (
    ContainerConfig,
    ContainerView,
    Descriptor,
    DeviceRequest,
    Event,
    Image,
    Mount,
    MountKind,
    MountRequest,
    RestartPolicy,
)
from .engine import AttachedStreams, EngineApi
from .handlers import Finding, Handler, Level, PluginClass
from .hooks import PROJECT, ROLES, CommonHooks, hookimpl
from .isolation import (
    Adjustment,
    ArgumentCondition,
    DeniedSyscall,
    Device,
    Hook,
    IsolationReport,
    MergedAdjustment,
)
from .model import Model
from .network import Endpoint, NetworkConfig, NetworkFeatures, NetworkUsage, PortMapping, Subnet
from .options import declaration, option
from .resources import (
    CpuStats,
    DeviceRule,
    DeviceThrottle,
    IoStats,
    MemoryStats,
    PidsStats,
    Pressure,
    Resources,
    Stats,
)
from .sizes import Size as ByteSize
from .sizes import parse_size
from .storage import Change, ChangeKind, Layer, Snapshot, StorageFeatures, Stored, StoredKind, Usage
from .tasks import (
    ExecHandle,
    IdMapping,
    IdMappings,
    NamespaceKind,
    Process,
    Rlimit,
    RootfsKind,
    RuntimeFeatures,
    Sandbox,
    SandboxRole,
    Size,
    Task,
    TaskIO,
    TaskProcess,
    TaskState,
    TaskStatus,
    User,
)
from .version import API, is_compatible, parse_api
from .volume import PreparedVolume, VolumeConfig, VolumeInfo

__all__ = [
    "API",
    "PROJECT",
    "ROLES",
    "Adjustment",
    "ArgumentCondition",
    "AttachedStreams",
    "ByteSize",
    "Change",
    "ChangeKind",
    "CommonHooks",
    "ContainerConfig",
    "ContainerView",
    "CpuStats",
    "DeniedSyscall",
    "Descriptor",
    "Device",
    "DeviceRequest",
    "DeviceRule",
    "DeviceThrottle",
    "Endpoint",
    "EngineApi",
    "Event",
    "ExecHandle",
    "Finding",
    "Handler",
    "Hook",
    "IdMapping",
    "IdMappings",
    "Image",
    "IoStats",
    "IsolationReport",
    "Layer",
    "Level",
    "MemoryStats",
    "MergedAdjustment",
    "Model",
    "Mount",
    "MountKind",
    "MountRequest",
    "NamespaceKind",
    "NetworkConfig",
    "NetworkFeatures",
    "NetworkUsage",
    "PidsStats",
    "PluginClass",
    "PortMapping",
    "PreparedVolume",
    "Pressure",
    "Process",
    "Resources",
    "RestartPolicy",
    "Rlimit",
    "RootfsKind",
    "RuntimeFeatures",
    "Sandbox",
    "SandboxRole",
    "Size",
    "Snapshot",
    "Stats",
    "StorageFeatures",
    "Stored",
    "StoredKind",
    "Subnet",
    "Task",
    "TaskIO",
    "TaskProcess",
    "TaskState",
    "TaskStatus",
    "Usage",
    "User",
    "VolumeConfig",
    "VolumeInfo",
    "declaration",
    "errors",
    "hookimpl",
    "is_compatible",
    "option",
    "parse_api",
    "parse_size",
]
