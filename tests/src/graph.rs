//! Writes ONNX models: what a test needs of the format, without a library for it.
//!
//! A model is a protobuf message; the numbers of the fields are those of `onnx.proto3` of the ONNX project.

/// Versions that ONNX Runtime 1.31 loads; every operator that tests use is the same since.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// Fields of a protobuf message, encoded.
#[derive(Clone, Debug, Default, PartialEq)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value.cast_unsigned());
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }
}

/// Types of elements, with their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Float = 1,
    Int32 = 6,
    Int64 = 7,
    Bool = 9,
    Double = 11,
}

/// A tensor with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor(Message);

impl Tensor {
    /// The fields but for the values.
    fn head(element: Element, shape: &[i64]) -> Message {
        shape
            .iter()
            .fold(Message::default(), |tensor, size| tensor.int(1, *size))
            .int(2, element as i64)
    }

    fn raw(element: Element, shape: &[i64], values: &[u8]) -> Self {
        Self(Self::head(element, shape).bytes(9, values))
    }

    pub fn floats(shape: &[i64], values: &[f32]) -> Self {
        let bytes: Vec<_> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        Self::raw(Element::Float, shape, &bytes)
    }

    pub fn ints(shape: &[i64], values: &[i64]) -> Self {
        let bytes: Vec<_> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        Self::raw(Element::Int64, shape, &bytes)
    }

    /// A tensor without dimensions.
    pub fn float(value: f32) -> Self {
        Self::floats(&[], &[value])
    }

    /// A tensor without dimensions.
    pub fn int(value: i64) -> Self {
        Self::ints(&[], &[value])
    }

    /// A tensor without dimensions.
    pub fn double(value: f64) -> Self {
        Self::raw(Element::Double, &[], &value.to_le_bytes())
    }

    /// A tensor without dimensions.
    pub fn bool(value: bool) -> Self {
        Self::raw(Element::Bool, &[], &[value.into()])
    }

    /// A tensor whose values are in another file, which the model names relative to its own folder.
    pub fn external(element: Element, shape: &[i64], location: &str) -> Self {
        let entry = Message::default().text(1, "location").text(2, location);
        Self(Self::head(element, shape).message(13, &entry).int(14, 1))
    }
}

/// An operator with its inputs and outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Node(Message);

impl Node {
    /// An operator of ONNX itself. An input whose name is empty is left out.
    pub fn new(operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let mut node = Message::default().text(4, operator);
        for input in inputs {
            node = node.text(1, input);
        }
        for output in outputs {
            node = node.text(2, output);
        }
        Self(node)
    }

    /// Takes the operator from another domain, which the model does not import.
    #[must_use]
    pub fn domain(self, domain: &str) -> Self {
        Self(self.0.text(7, domain))
    }

    fn attribute(self, name: &str, kind: i64, value: impl FnOnce(Message) -> Message) -> Self {
        let attribute = value(Message::default().text(1, name)).int(20, kind);
        Self(self.0.message(5, &attribute))
    }

    #[must_use]
    pub fn float(self, name: &str, value: f32) -> Self {
        self.attribute(name, 1, |attribute| attribute.float(2, value))
    }

    #[must_use]
    pub fn int(self, name: &str, value: i64) -> Self {
        self.attribute(name, 2, |attribute| attribute.int(3, value))
    }

    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Self {
        self.attribute(name, 3, |attribute| attribute.text(4, value))
    }

    #[must_use]
    pub fn ints(self, name: &str, values: &[i64]) -> Self {
        self.attribute(name, 7, |attribute| {
            values
                .iter()
                .fold(attribute, |attribute, value| attribute.int(8, *value))
        })
    }

    #[must_use]
    pub fn tensor(self, name: &str, value: &Tensor) -> Self {
        self.attribute(name, 4, |attribute| attribute.message(5, &value.0))
    }

    #[must_use]
    pub fn graph(self, name: &str, value: &Graph) -> Self {
        self.attribute(name, 5, |attribute| attribute.message(6, &value.0))
    }
}

/// A graph: of a model, or of an operator such as `Loop`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph(Message);

impl Graph {
    /// An empty graph. Its nodes have to be added in an order in which they can run.
    pub fn new(name: &str) -> Self {
        Self(Message::default().text(2, name))
    }

    /// The inputs and the output of a voice in Piper's contract, without a node.
    pub fn piper() -> Self {
        Self::new("voice")
            .input("input", Element::Int64, &["1", "symbols"])
            .input("input_lengths", Element::Int64, &["1"])
            .input("scales", Element::Float, &["3"])
            .output("output", Element::Float, &["1", "1", "1", "samples"])
    }

    /// `shape`: a number, or a name of what may vary, per dimension.
    #[must_use]
    pub fn input(self, name: &str, element: Element, shape: &[&str]) -> Self {
        Self(self.0.message(11, &value_info(name, element, shape)))
    }

    /// `shape` as for [`Self::input`].
    #[must_use]
    pub fn output(self, name: &str, element: Element, shape: &[&str]) -> Self {
        Self(self.0.message(12, &value_info(name, element, shape)))
    }

    #[must_use]
    pub fn constant(self, name: &str, value: &Tensor) -> Self {
        Self(self.0.message(5, &Message(value.0.0.clone()).text(8, name)))
    }

    #[must_use]
    pub fn node(self, node: &Node) -> Self {
        Self(self.0.message(1, &node.0))
    }

    /// An operator without attributes and with one output.
    #[must_use]
    pub fn apply(self, operator: &str, inputs: &[&str], output: &str) -> Self {
        self.node(&Node::new(operator, inputs, &[output]))
    }

    /// The bytes of a file.
    pub fn model(&self) -> Vec<u8> {
        self.model_of_opset(OPSET)
    }

    /// The bytes of a file that needs this version of the operators.
    pub fn model_of_opset(&self, opset: i64) -> Vec<u8> {
        let operators = Message::default().text(1, "").int(2, opset);
        Message::default()
            .int(1, IR_VERSION)
            .message(7, &self.0)
            .message(8, &operators)
            .0
    }
}

fn value_info(name: &str, element: Element, shape: &[&str]) -> Message {
    let shape = shape.iter().fold(Message::default(), |shape, size| {
        let dimension = match size.parse() {
            Ok(size) => Message::default().int(1, size),
            Err(_) => Message::default().text(2, size),
        };
        shape.message(1, &dimension)
    });
    let tensor = Message::default().int(1, element as i64).message(2, &shape);
    let kind = Message::default().message(1, &tensor);
    Message::default().text(1, name).message(2, &kind)
}
