//! The NVIDIA GPU that a measurement is taken on, as the driver's library (NVML) tells: what it is, and what it does now.
//!
//! The library is loaded when a CUDA device was asked for. What a GPU does not tell is absent, never estimated.

pub mod selection;
pub mod sharing;
pub mod watch;

use std::{
    ffi::OsStr,
    fmt::{self, Display},
};

use nvml_wrapper::{
    Device, Nvml,
    enum_wrappers::device::{Clock, ComputeMode},
    error::NvmlError,
};

use selection::{Wanted, mig_profile, wanted};
use sharing::{Environment, Hints};

/// The driver's library, as the loader finds it.
pub const LIBRARY: &str = "libnvidia-ml.so.1";

/// Why nothing can be measured on a GPU.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    #[error(
        "cannot load the NVIDIA driver's library {library}: {message}; install the driver, or give the container a GPU with NVIDIA_DRIVER_CAPABILITIES=compute,utility, or use --device cpu"
    )]
    NoLibrary { library: String, message: String },
    #[error(
        "the NVIDIA driver does not answer: {message}; see what nvidia-smi says, or use --device cpu"
    )]
    Driver { message: String },
    #[error(
        "there is no cuda:{index}: the NVIDIA driver shows {seen} GPU(s) to this process, CUDA_VISIBLE_DEVICES is {visible}; use another index, or --device cpu"
    )]
    NoGpu {
        index: u32,
        seen: u32,
        visible: String,
    },
    #[error(
        "MIG is on for the {product}, but this process has no instance of it; request one (nvidia.com/mig-…), or switch MIG off"
    )]
    NoInstance { product: String },
    #[error("the NVIDIA driver does not tell {what}: {message}; use driver 510 or later")]
    Silent {
        what: &'static str,
        message: NvmlError,
    },
}

/// What a GPU is.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// As the driver names it; on MIG the whole GPU's name.
    pub product: String,
    /// Identifies the GPU or the MIG instance to CUDA.
    pub uuid: String,
    /// Profile of the MIG instance, such as `1g.5gb`; `None` for a whole GPU.
    pub mig: Option<String>,
    pub driver: String,
    /// The newest CUDA version that the driver supports.
    pub cuda: Option<String>,
    /// Memory of the GPU or the MIG instance (MiB).
    pub memory_mib: f64,
    /// Power limit of the whole GPU (W).
    pub power_limit: Option<f64>,
}

/// What a GPU does at one moment; `None` is what it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Clock of the multiprocessors (MHz).
    pub clock: Option<f64>,
    /// Why the clock is what it is: NVML's clock event reasons, a bit mask.
    pub events: Option<u64>,
    /// Share of the last 0.2 to 1 s in which a kernel ran. Never told of MIG instances.
    pub utilisation: Option<f64>,
    /// Memory in use, of all processes (MiB).
    pub memory_mib: Option<f64>,
}

/// Where a GPU is among those that NVML shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    index: u32,
    /// Of the MIG instance.
    instance: Option<u32>,
}

/// A GPU, or a MIG instance of one.
pub struct Gpu {
    nvml: Nvml,
    place: Place,
    facts: Facts,
    hints: Hints,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Gpu")
            .field("place", &self.place)
            .field("facts", &self.facts)
            .field("hints", &self.hints)
            .finish_non_exhaustive()
    }
}

/// The whole GPU, and the part of it that is measured: itself, or a MIG instance.
struct Handles<'a> {
    whole: Device<'a>,
    part: Device<'a>,
}

impl Gpu {
    /// The GPU that CUDA numbers so. Counted as NVML does, by the place on the bus.
    ///
    /// # Errors
    /// When the library cannot be loaded, there is no such GPU, or the driver does not tell what a profile needs.
    pub fn open(library: &OsStr, index: u32, environment: &Environment) -> Result<Self, GpuError> {
        let nvml = Nvml::builder()
            .lib_path(library)
            .init()
            .map_err(|error| match error {
                NvmlError::LibloadingError(error) => GpuError::NoLibrary {
                    library: library.display().to_string(),
                    message: error.to_string(),
                },
                error => driver(&error),
            })?;
        let place = place(&nvml, index, environment)?;
        let (facts, exclusive) = {
            let handles = handles(&nvml, place).map_err(|error| driver(&error))?;
            let mode = handles.whole.compute_mode();
            let exclusive = matches!(mode, Ok(ComputeMode::ExclusiveProcess));
            (facts(&nvml, place, &handles)?, exclusive)
        };
        Ok(Self {
            nvml,
            place,
            facts,
            hints: Hints {
                mps: environment.mps,
                replicated: sharing::is_replicated(environment.container.as_deref()),
                exclusive,
            },
        })
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What was known of its sharing before anything was measured.
    pub fn hints(&self) -> Hints {
        self.hints
    }

    pub fn sample(&self) -> Sample {
        let Ok(handles) = handles(&self.nvml, self.place) else {
            return Sample::default();
        };
        let utilisation = match self.place.instance {
            // NVML tells it of whole GPUs only.
            Some(_) => None,
            None => handles.part.utilization_rates().ok(),
        };
        Sample {
            clock: handles.whole.clock_info(Clock::SM).ok().map(f64::from),
            events: handles
                .whole
                .current_throttle_reasons()
                .ok()
                .map(|reasons| reasons.bits()),
            utilisation: utilisation.map(|rates| (f64::from(rates.gpu) / 100.0).min(1.0)),
            memory_mib: handles
                .part
                .memory_info()
                .ok()
                .map(|memory| mebibytes(memory.used)),
        }
    }

    /// Millijoules since the driver was loaded. `None` on a MIG instance: the counter is the whole GPU's.
    pub fn energy(&self) -> Option<u64> {
        if self.place.instance.is_some() {
            return None;
        }
        let handles = handles(&self.nvml, self.place).ok()?;
        handles.whole.total_energy_consumption().ok()
    }

    /// Processes that compute on it. A container sees its own only, where the driver keeps to process namespaces.
    pub fn processes(&self) -> Option<u32> {
        let handles = handles(&self.nvml, self.place).ok()?;
        let processes = handles.part.running_compute_processes().ok()?;
        u32::try_from(processes.len()).ok()
    }
}

fn driver(error: &impl Display) -> GpuError {
    GpuError::Driver {
        message: error.to_string(),
    }
}

fn handles(nvml: &Nvml, place: Place) -> Result<Handles<'_>, NvmlError> {
    let whole = nvml.device_by_index(place.index)?;
    let part = match place.instance {
        Some(instance) => whole.mig_device_by_index(instance)?,
        None => nvml.device_by_index(place.index)?,
    };
    Ok(Handles { whole, part })
}

/// Finds the GPU that CUDA takes, by `CUDA_VISIBLE_DEVICES` if it is set.
fn place(nvml: &Nvml, index: u32, environment: &Environment) -> Result<Place, GpuError> {
    let seen = nvml.device_count().map_err(|error| driver(&error))?;
    let visible = environment.cuda_visible.as_deref();
    let found = match wanted(visible, index) {
        Some(Wanted::Index(index)) if index < seen => Some(whole_or_first_instance(nvml, index)?),
        Some(Wanted::Id(id)) => by_id(nvml, seen, id)?,
        _ => None,
    };
    found.ok_or_else(|| GpuError::NoGpu {
        index,
        seen,
        visible: visible.unwrap_or("not set").to_owned(),
    })
}

fn instances<'a>(device: &Device<'a>) -> Vec<(u32, Device<'a>)> {
    let has_mig = device.mig_mode().is_ok_and(|mode| mode.current == 1);
    let count = if has_mig {
        device.mig_device_count().unwrap_or(0)
    } else {
        0
    };
    (0..count)
        .filter_map(|index| Some((index, device.mig_device_by_index(index).ok()?)))
        .collect()
}

/// CUDA gives a process one MIG instance, the first that it may use.
fn whole_or_first_instance(nvml: &Nvml, index: u32) -> Result<Place, GpuError> {
    let device = nvml
        .device_by_index(index)
        .map_err(|error| driver(&error))?;
    let has_mig = device.mig_mode().is_ok_and(|mode| mode.current == 1);
    let instance = instances(&device).first().map(|(instance, _)| *instance);
    if has_mig && instance.is_none() {
        return Err(GpuError::NoInstance {
            product: device.name().unwrap_or_else(|_| "GPU".to_owned()),
        });
    }
    Ok(Place { index, instance })
}

/// By the beginning of the UUID of a GPU or of a MIG instance.
fn by_id(nvml: &Nvml, seen: u32, id: &str) -> Result<Option<Place>, GpuError> {
    let is_this = |device: &Device<'_>| device.uuid().is_ok_and(|uuid| uuid.starts_with(id));
    for index in 0..seen {
        // Those that this process may not use are not its own.
        let Ok(device) = nvml.device_by_index(index) else {
            continue;
        };
        if is_this(&device) {
            return whole_or_first_instance(nvml, index).map(Some);
        }
        let instance = instances(&device)
            .into_iter()
            .find(|(_, instance)| is_this(instance));
        if let Some((instance, _)) = instance {
            let instance = Some(instance);
            return Ok(Some(Place { index, instance }));
        }
    }
    Ok(None)
}

fn facts(nvml: &Nvml, place: Place, handles: &Handles<'_>) -> Result<Facts, GpuError> {
    let silent = |what| move |message| GpuError::Silent { what, message };
    let memory = handles.part.memory_info();
    let memory_mib = mebibytes(memory.map_err(silent("the GPU's memory"))?.total);
    let product = handles.whole.name().map_err(silent("the GPU's name"))?;
    let mig = place.instance.map(|_| {
        let name = handles.part.name().unwrap_or_default();
        let whole = handles.whole.memory_info().ok();
        let whole = whole.map(|memory| mebibytes(memory.total));
        mig_profile(&name, handles.part.attributes().ok().as_ref(), whole)
    });
    let cuda = nvml.sys_cuda_driver_version().ok().map(|version| {
        let major = nvml_wrapper::cuda_driver_version_major(version);
        let minor = nvml_wrapper::cuda_driver_version_minor(version);
        format!("{major}.{minor}")
    });
    let power_limit = handles.whole.enforced_power_limit().ok();
    Ok(Facts {
        product,
        uuid: handles.part.uuid().map_err(silent("the GPU's UUID"))?,
        mig,
        driver: nvml
            .sys_driver_version()
            .map_err(silent("its own version"))?,
        cuda,
        memory_mib,
        power_limit: power_limit.map(|milliwatts| f64::from(milliwatts) / 1000.0),
    })
}

#[expect(clippy::cast_precision_loss, reason = "memory of a GPU, in bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
