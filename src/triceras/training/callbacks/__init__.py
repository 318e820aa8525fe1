"""Callbacks: objects that the training loop tells what happens. base.py, then a file a family."""

from triceras.training.callbacks.averages import SwapEMAWeights
from triceras.training.callbacks.base import Callback, History, LambdaCallback
from triceras.training.callbacks.callback_list import CallbackList
from triceras.training.callbacks.display import ProgbarLogger
from triceras.training.callbacks.loggers import CSVLogger, RemoteMonitor
from triceras.training.callbacks.monitor import MonitorCallback
from triceras.training.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from triceras.training.callbacks.saving import BackupAndRestore, LogNameError, ModelCheckpoint
from triceras.training.callbacks.stopping import EarlyStopping, NonFiniteLossError, TerminateOnNaN
from triceras.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "LogNameError",
    "ModelCheckpoint",
    "MonitorCallback",
    "NonFiniteLossError",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
