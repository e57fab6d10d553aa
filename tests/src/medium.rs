//! A voice of the size of Piper's `medium` voices: the layers of their VITS models, except that the encoder has no attention.
//! Its weights are random but always the same. It speaks noise that is as long as speech, and costs what speech costs.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    graph::{Element, Graph, Node, Tensor},
    voices::{with_pipers_alphabet, write_voice},
};

const SAMPLE_RATE: u32 = 22_050;
const SYMBOLS: u16 = 256;
const HIDDEN: u16 = 192;
const FILTER: u16 = 768;
const ENCODER_LAYERS: usize = 6;
const FLOWS: usize = 4;
const FLOW_LAYERS: usize = 4;
const DECODER_CHANNELS: u16 = 256;
/// Factor and kernel of each upsampling: 256 samples per frame in all.
const UPSAMPLING: [(u16, u16); 3] = [(8, 16), (8, 16), (4, 8)];
/// Kernel and dilations of each residual block.
const RESIDUAL_BLOCKS: [(u16, [u16; 2]); 3] = [(3, [1, 2]), (5, [2, 6]), (7, [3, 12])];
/// Natural logarithm of the mean duration of a symbol, in frames, before it is rounded up to about 3.
const LOG_DURATION: f32 = 0.92;

/// Writes the voice into a folder, with the alphabet of Piper's English voices.
///
/// # Panics
/// When the folder cannot be written to.
pub fn write_medium_voice(folder: &Path) {
    write_voice(folder, &graph().model(), SAMPLE_RATE);
    let path = folder.join("voice.onnx.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    with_pipers_alphabet(&mut config);
    fs::write(path, config.to_string()).unwrap();
}

/// A graph that grows layer by layer; each layer is known by the name of its output.
struct Layers {
    graph: Graph,
    names: usize,
    random: u64,
}

/// A convolution that keeps the length.
#[derive(Clone, Copy)]
struct Convolution {
    inputs: u16,
    outputs: u16,
    kernel: u16,
    dilation: u16,
    /// Of the output, for an input of the same variance.
    gain: f32,
    bias: f32,
}

impl Convolution {
    fn new(inputs: u16, outputs: u16, kernel: u16) -> Self {
        Self {
            inputs,
            outputs,
            kernel,
            dilation: 1,
            gain: 1.0,
            bias: 0.0,
        }
    }
}

impl Layers {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("t{}", self.names)
    }

    fn constant(&mut self, tensor: &Tensor) -> String {
        let name = self.name();
        self.graph = std::mem::take(&mut self.graph).constant(&name, tensor);
        name
    }

    fn float(&mut self, value: f32) -> String {
        self.constant(&Tensor::float(value))
    }

    fn ints(&mut self, values: &[i64]) -> String {
        let shape = [i64::try_from(values.len()).unwrap()];
        self.constant(&Tensor::ints(&shape, values))
    }

    fn add(&mut self, node: impl FnOnce(&str) -> Node) -> String {
        let name = self.name();
        self.graph = std::mem::take(&mut self.graph).node(&node(&name));
        name
    }

    fn apply(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.add(|output| Node::new(operator, inputs, &[output]))
    }

    /// Uniform weights, by Vigna's `SplitMix64`.
    fn weights(&mut self, shape: &[u16], deviation: f32) -> String {
        let count = shape.iter().copied().map(usize::from).product();
        // Of a uniform distribution.
        let largest = deviation * 3.0_f32.sqrt();
        let mut weight = || {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.random;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let [low, high, ..] = (bits ^ (bits >> 31)).to_be_bytes();
            let part = f32::from(u16::from_be_bytes([low, high])) / f32::from(u16::MAX);
            largest * (2.0 * part - 1.0)
        };
        let values: Vec<f32> = (0..count).map(|_| weight()).collect();
        let shape: Vec<i64> = shape.iter().copied().map(i64::from).collect();
        self.constant(&Tensor::floats(&shape, &values))
    }

    fn filled(&mut self, count: u16, value: f32) -> String {
        let values = vec![value; usize::from(count)];
        self.constant(&Tensor::floats(&[i64::from(count)], &values))
    }

    fn convolution(&mut self, input: &str, of: Convolution) -> String {
        let fan = f32::from(of.inputs) * f32::from(of.kernel);
        let shape = [of.outputs, of.inputs, of.kernel];
        let weights = self.weights(&shape, of.gain / fan.sqrt());
        let bias = self.filled(of.outputs, of.bias);
        let pad = i64::from((of.kernel - 1) * of.dilation / 2);
        self.add(|output| {
            Node::new("Conv", &[input, &weights, &bias], &[output])
                .ints("kernel_shape", &[of.kernel.into()])
                .ints("dilations", &[of.dilation.into()])
                .ints("pads", &[pad, pad])
        })
    }

    fn upsampling(&mut self, input: &str, inputs: u16, factor: u16, kernel: u16) -> String {
        let fan = f32::from(inputs) * f32::from(kernel) / f32::from(factor);
        let weights = self.weights(&[inputs, inputs / 2, kernel], 1.0 / fan.sqrt());
        let pad = i64::from((kernel - factor) / 2);
        self.add(|output| {
            Node::new("ConvTranspose", &[input, &weights], &[output])
                .ints("kernel_shape", &[kernel.into()])
                .ints("strides", &[factor.into()])
                .ints("pads", &[pad, pad])
        })
    }

    fn leaky(&mut self, input: &str, slope: f32) -> String {
        self.add(|output| Node::new("LeakyRelu", &[input], &[output]).float("alpha", slope))
    }

    /// Exchanges the last two of three dimensions.
    fn transpose(&mut self, input: &str) -> String {
        self.add(|output| Node::new("Transpose", &[input], &[output]).ints("perm", &[0, 2, 1]))
    }

    /// Over the channels.
    fn normalisation(&mut self, input: &str) -> String {
        let (scale, bias) = (self.filled(HIDDEN, 1.0), self.filled(HIDDEN, 0.0));
        let input = self.transpose(input);
        let normal = self.apply("LayerNormalization", &[&input, &scale, &bias]);
        self.transpose(&normal)
    }

    /// Both halves of the channels.
    fn halves(&mut self, input: &str) -> [String; 2] {
        let halves = [self.name(), self.name()];
        let node = Node::new("Split", &[input], &[&halves[0], &halves[1]]).int("axis", 1);
        self.graph = std::mem::take(&mut self.graph).node(&node);
        halves
    }

    fn cast(&mut self, input: &str, to: Element) -> String {
        self.add(|output| Node::new("Cast", &[input], &[output]).int("to", to as i64))
    }

    /// One of noise, length and noise of the durations.
    fn scale(&mut self, index: i64) -> String {
        let index = self.constant(&Tensor::int(index));
        self.apply("Gather", &["scales", &index])
    }

    /// Noise of this shape, multiplied.
    fn noise(&mut self, like: &str, scale: &str, seed: f32) -> String {
        let noise = self
            .add(|output| Node::new("RandomNormalLike", &[like], &[output]).float("seed", seed));
        self.apply("Mul", &[&noise, scale])
    }

    /// What the symbols are: channels by symbols.
    fn encoder(&mut self) -> String {
        let embedding = self.weights(&[SYMBOLS, HIDDEN], 0.3);
        let embedded = self.apply("Gather", &[&embedding, "input"]);
        let mut hidden = self.transpose(&embedded);
        for _ in 0..ENCODER_LAYERS {
            let wide = self.convolution(&hidden, Convolution::new(HIDDEN, FILTER, 3));
            let wide = self.apply("Relu", &[&wide]);
            let narrow = Convolution {
                gain: 0.3,
                ..Convolution::new(FILTER, HIDDEN, 3)
            };
            let narrow = self.convolution(&wide, narrow);
            let sum = self.apply("Add", &[&hidden, &narrow]);
            hidden = self.normalisation(&sum);
        }
        hidden
    }

    /// Frames per symbol.
    fn durations(&mut self, hidden: &str) -> String {
        let inner = self.convolution(hidden, Convolution::new(HIDDEN, HIDDEN, 3));
        let inner = self.apply("Relu", &[&inner]);
        let logarithm = Convolution {
            gain: 0.15,
            bias: LOG_DURATION,
            ..Convolution::new(HIDDEN, 1, 1)
        };
        let logarithm = self.convolution(&inner, logarithm);
        let tenth = self.float(0.1);
        let scale = self.scale(2);
        let scale = self.apply("Mul", &[&scale, &tenth]);
        let noise = self.noise(&logarithm, &scale, 1.0);
        let logarithm = self.apply("Add", &[&logarithm, &noise]);
        let duration = self.apply("Exp", &[&logarithm]);
        let length = self.scale(1);
        let duration = self.apply("Mul", &[&duration, &length]);
        self.apply("Ceil", &[&duration])
    }

    /// Each symbol's channels as often as it has frames.
    fn expansion(&mut self, hidden: &str, durations: &str) -> String {
        let (zero, one) = (self.float(0.0), self.float(1.0));
        let last = self.constant(&Tensor::int(2));
        let end = self.apply("CumSum", &[durations, &last]);
        let begin = self.apply("Sub", &[&end, durations]);
        let count =
            self.add(|output| Node::new("ReduceSum", &[durations], &[output]).int("keepdims", 0));
        let frames = self.apply("Range", &[&zero, &count, &one]);
        let around = self.ints(&[0, 2]);
        let frames = self.apply("Unsqueeze", &[&frames, &around]);
        let [not_ended, not_begun] = [end, begin].map(|limit| {
            let below = self.apply("Less", &[&frames, &limit]);
            self.cast(&below, Element::Float)
        });
        let path = self.apply("Sub", &[&not_ended, &not_begun]);
        let hidden = self.transpose(hidden);
        let expanded = self.apply("MatMul", &[&path, &hidden]);
        self.transpose(&expanded)
    }

    /// A coupling of the normalising flow: one half of the channels changes the other.
    fn flow(&mut self, input: &str) -> String {
        let [kept, changed] = self.halves(input);
        let mut hidden = self.convolution(&kept, Convolution::new(HIDDEN / 2, HIDDEN, 1));
        let mut skipped: Option<String> = None;
        for layer in 1..=FLOW_LAYERS {
            let gated = self.convolution(&hidden, Convolution::new(HIDDEN, 2 * HIDDEN, 5));
            let [value, gate] = self.halves(&gated);
            let (value, gate) = (
                self.apply("Tanh", &[&value]),
                self.apply("Sigmoid", &[&gate]),
            );
            let active = self.apply("Mul", &[&value, &gate]);
            let skip = if layer < FLOW_LAYERS {
                let both = self.convolution(&active, Convolution::new(HIDDEN, 2 * HIDDEN, 1));
                let [residual, skip] = self.halves(&both);
                hidden = self.apply("Add", &[&hidden, &residual]);
                skip
            } else {
                self.convolution(&active, Convolution::new(HIDDEN, HIDDEN, 1))
            };
            skipped = Some(match skipped {
                Some(sum) => self.apply("Add", &[&sum, &skip]),
                None => skip,
            });
        }
        let mean = Convolution {
            gain: 0.3,
            ..Convolution::new(HIDDEN, HIDDEN / 2, 1)
        };
        let mean = self.convolution(&skipped.unwrap_or(hidden), mean);
        let changed = self.apply("Sub", &[&changed, &mean]);
        self.add(|output| Node::new("Concat", &[&changed, &kept], &[output]).int("axis", 1))
    }

    /// From frames to samples, as HiFi-GAN.
    fn decoder(&mut self, input: &str) -> String {
        let mut channels = DECODER_CHANNELS;
        let mut hidden = self.convolution(input, Convolution::new(HIDDEN, channels, 7));
        for (factor, kernel) in UPSAMPLING {
            let active = self.leaky(&hidden, 0.1);
            let wider = self.upsampling(&active, channels, factor, kernel);
            channels /= 2;
            let blocks = RESIDUAL_BLOCKS.map(|block| self.residual_block(&wider, channels, block));
            let [first, second, third] = blocks;
            let sum = self.apply("Sum", &[&first, &second, &third]);
            let count = self.float(3.0);
            hidden = self.apply("Div", &[&sum, &count]);
        }
        let active = self.leaky(&hidden, 0.01);
        let quiet = Convolution {
            gain: 0.3,
            ..Convolution::new(channels, 1, 7)
        };
        let samples = self.convolution(&active, quiet);
        self.apply("Tanh", &[&samples])
    }

    fn residual_block(
        &mut self,
        input: &str,
        channels: u16,
        (kernel, dilations): (u16, [u16; 2]),
    ) -> String {
        let mut sum = input.to_owned();
        for dilation in dilations {
            let active = self.leaky(&sum, 0.1);
            let convolution = Convolution {
                dilation,
                gain: 0.4,
                ..Convolution::new(channels, channels, kernel)
            };
            let change = self.convolution(&active, convolution);
            sum = self.apply("Add", &[&sum, &change]);
        }
        sum
    }
}

/// The model.
fn graph() -> Graph {
    let mut layers = Layers {
        graph: Graph::piper(),
        names: 0,
        random: 7,
    };
    let hidden = layers.encoder();
    let durations = layers.durations(&hidden);
    let mean = layers.convolution(&hidden, Convolution::new(HIDDEN, HIDDEN, 1));
    let frames = layers.expansion(&mean, &durations);
    let scale = layers.scale(0);
    let noise = layers.noise(&frames, &scale, 2.0);
    let mut frames = layers.apply("Add", &[&frames, &noise]);
    for _ in 0..FLOWS {
        frames = layers.flow(&frames);
    }
    let samples = layers.decoder(&frames);
    let second = layers.ints(&[1]);
    layers
        .graph
        .apply("Unsqueeze", &[&samples, &second], "output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_the_same_each_time_and_as_large_as_a_medium_voice() {
        let model = graph().model();
        // 15 million weights of 4 bytes.
        assert!(
            (50_000_000..70_000_000).contains(&model.len()),
            "{}",
            model.len()
        );
        assert_eq!(graph().model(), model);
    }
}
