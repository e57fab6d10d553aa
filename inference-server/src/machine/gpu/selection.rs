//! Which GPU CUDA takes, and the names of MIG profiles.

use nvml_wrapper::struct_wrappers::device::DeviceAttributes;

/// How a GPU is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    Index(u32),
    /// The beginning of the UUID of a GPU or of a MIG instance.
    Id(&'a str),
}

/// The GPU that CUDA numbers `index`. `visible` is `CUDA_VISIBLE_DEVICES`: without it these are all GPUs, else those that it
/// lists, up to the first entry that is no GPU's.
pub fn wanted(visible: Option<&str>, index: u32) -> Option<Wanted<'_>> {
    let Some(list) = visible else {
        return Some(Wanted::Index(index));
    };
    let entry = |entry| match entry {
        id if str::starts_with(id, "GPU-") || id.starts_with("MIG-") => Some(Wanted::Id(id)),
        number => number.parse().ok().map(Wanted::Index),
    };
    let place = usize::try_from(index).ok()?;
    list.split(',')
        .map_while(|text| entry(text.trim()))
        .nth(place)
}

const MIB_PER_GB: f64 = 1024.0;
/// GPUs are cut into so many parts of memory.
const PARTS: f64 = 8.0;

/// The profile of a MIG instance, such as `1g.5gb` or `1c.3g.20gb`: the end of its name, else put together from its slices
/// and memory, of `whole` MiB, as NVIDIA's device plugin does; `unknown` where neither is told.
pub fn mig_profile(
    name: &str,
    attributes: Option<&DeviceAttributes>,
    whole: Option<f64>,
) -> String {
    let of_name = name.rsplit_once("MIG ").map(|(_, profile)| profile.trim());
    if let Some(profile) = of_name.filter(|profile| profile.contains("g.")) {
        return profile.to_owned();
    }
    let (Some(attributes), Some(whole)) = (attributes, whole) else {
        return "unknown".to_owned();
    };
    #[expect(clippy::cast_precision_loss, reason = "memory of a GPU, in MiB")]
    let part = attributes.memory_size_mb as f64 / whole;
    let part = (part * PARTS).ceil() / PARTS;
    let gigabytes = (part * (whole / MIB_PER_GB).ceil()).round();
    let (gpu, compute) = (
        attributes.gpu_instance_slice_count,
        attributes.compute_instance_slice_count,
    );
    if gpu == compute {
        format!("{gpu}g.{gigabytes}gb")
    } else {
        format!("{compute}c.{gpu}g.{gigabytes}gb")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_counts_what_is_visible() {
        assert_eq!(wanted(None, 3), Some(Wanted::Index(3)));
        assert_eq!(wanted(Some("2,0"), 0), Some(Wanted::Index(2)));
        assert_eq!(wanted(Some("2, 0"), 1), Some(Wanted::Index(0)));
        assert_eq!(wanted(Some("MIG-4a,GPU-1b"), 1), Some(Wanted::Id("GPU-1b")));
        // Nothing after an entry that is none.
        for list in ["", "-1", "-1,0", "NoDevFiles", "1"] {
            assert_eq!(wanted(Some(list), 1), None, "{list:?}");
        }
    }

    fn attributes(gpu: u32, compute: u32, memory_size_mb: u64) -> DeviceAttributes {
        DeviceAttributes {
            multiprocessor_count: 14,
            shared_copy_engine_count: 1,
            shared_decoder_count: 0,
            shared_encoder_count: 0,
            shared_jpeg_count: 0,
            shared_ofa_count: 0,
            gpu_instance_slice_count: gpu,
            compute_instance_slice_count: compute,
            memory_size_mb,
        }
    }

    #[test]
    fn a_mig_profile_is_the_end_of_the_name_or_put_together() {
        let name = "NVIDIA A100-SXM4-40GB MIG 1g.5gb";
        assert_eq!(mig_profile(name, None, None), "1g.5gb");
        let name = "NVIDIA H100 80GB HBM3 MIG 1g.10gb+me";
        assert_eq!(mig_profile(name, None, None), "1g.10gb+me");
        // An A100 of 40 GB: 40,536 MiB.
        let of = |gpu, compute, memory| {
            let attributes = attributes(gpu, compute, memory);
            mig_profile("NVIDIA A100", Some(&attributes), Some(40_536.0))
        };
        assert_eq!(of(1, 1, 4_864), "1g.5gb");
        assert_eq!(of(3, 3, 20_096), "3g.20gb");
        assert_eq!(of(3, 1, 20_096), "1c.3g.20gb");
        assert_eq!(mig_profile("NVIDIA A100", None, Some(40_536.0)), "unknown");
    }
}
