//! Reads the subset of Python's pickle format that CIFAR-10's batches use: a dictionary of numbers, strings, lists and
//! one NumPy array of bytes.
//!
//! A pickle is a program for a stack machine. This reader follows protocols 2 to 5 as Python 2 and 3 write them. Of the
//! functions that a pickle can call, it recognizes five by name and calls none. Memory: the strings of the file once,
//! and a bounded number of small values, nested no deeper than in these batches.
//!
//! Source: `Lib/pickletools.py` of CPython.

use std::collections::BTreeMap;

use crate::input::Input;
use crate::{Error, Result};

/// Longer strings are not memoized, since no writer repeats them.
const LONGEST_REMEMBERED: usize = 64;

/// A value on the stack.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A whole number, and the offset of its instruction.
    Int(i64, u64),
    /// Bytes, or a string of Python 2.
    Bytes(Vec<u8>),
    /// A string of Python 3, in UTF-8.
    Text(Vec<u8>),
    List(Vec<Self>),
    Tuple(Vec<Self>),
    Dict(Vec<(Self, Self)>),
    /// A function or a class.
    Global(Global),
    /// The type of an array's elements, and whether it is `uint8`.
    ElementType(bool),
    Array(Array),
    /// `None`, `True` or `False`.
    Constant(Option<bool>),
}

/// An array of bytes in row order; no shape until it is built.
#[derive(Clone, Debug, Default)]
pub(super) struct Array {
    pub(super) shape: Vec<i64>,
    pub(super) data: Vec<u8>,
    /// The offset of the instruction that built it.
    pub(super) offset: u64,
}

/// The recognized functions and classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// Creates an empty array, to be built.
    Reconstruct,
    /// Creates an array from bytes.
    FromBuffer,
    /// The class of arrays.
    Array,
    /// Creates the type of elements.
    ElementType,
    /// Converts a string to bytes.
    Encode,
}

impl Value {
    /// Whether it holds no other values.
    fn is_flat(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Tuple(_) | Self::Dict(_))
    }

    /// The bytes of a string of either Python.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) | Self::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether the file may use it again.
    fn is_remembered(&self) -> bool {
        match self {
            Self::Bytes(bytes) | Self::Text(bytes) => bytes.len() <= LONGEST_REMEMBERED,
            Self::Global(_) | Self::ElementType(_) | Self::Int(..) | Self::Constant(_) => true,
            Self::List(_) | Self::Tuple(_) | Self::Dict(_) | Self::Array(_) => false,
        }
    }
}

/// Reads the one value of a pickle that has at most `max_steps` instructions and whose strings have at most `max_bytes` in all.
///
/// # Errors
/// [`Error::Malformed`] with the offset of the first instruction that is not one of the subset or does not make sense.
pub(super) fn read(input: &mut Input<'_>, max_steps: usize, max_bytes: usize) -> Result<Value> {
    let mut machine = Machine {
        input,
        stack: Vec::new(),
        marks: Vec::new(),
        memory: BTreeMap::new(),
        free_bytes: max_bytes,
        start: 0,
    };
    for _ in 0..max_steps {
        if machine.step()? {
            return machine.pop();
        }
    }
    Err(machine.malformed("the end of the pickle", &format!("more than {max_steps} instructions")))
}

struct Machine<'a, 'b> {
    input: &'a mut Input<'b>,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memory: BTreeMap<usize, Value>,
    /// Bytes that strings may still have.
    free_bytes: usize,
    /// The offset of the current instruction.
    start: u64,
}

impl Machine<'_, '_> {
    /// Executes one instruction. Returns whether it was the last.
    fn step(&mut self) -> Result<bool> {
        self.start = self.input.offset();
        let [instruction] = self.array("an instruction of a pickle")?;
        match instruction {
            b'.' => return Ok(true),
            0x80 => self.protocol()?,
            // A frame only says how much may be read at once.
            0x95 => drop(self.array::<8>("the size of a frame")?),
            b'(' => self.marks.push(self.stack.len()),
            b'}' => self.stack.push(Value::Dict(Vec::new())),
            b']' => self.stack.push(Value::List(Vec::new())),
            b')' => self.stack.push(Value::Tuple(Vec::new())),
            b'N' => self.stack.push(Value::Constant(None)),
            0x88 => self.stack.push(Value::Constant(Some(true))),
            0x89 => self.stack.push(Value::Constant(Some(false))),
            b'K' | b'M' | b'J' => self.integer(instruction)?,
            b'U' | b'C' | 0x8c | b'T' | b'B' | b'X' | 0x8e | 0x8d | 0x96 => self.string(instruction)?,
            b'q' | b'r' | 0x94 => self.remember(instruction)?,
            b'h' | b'j' => self.recall(instruction)?,
            b'a' | b'e' => self.append(instruction)?,
            b's' | b'u' => self.set_items(instruction)?,
            0x85..=0x87 => self.tuple(usize::from(instruction - 0x84))?,
            b't' => {
                let values = self.pop_mark()?;
                self.push_tuple(values)?;
            }
            b'c' => self.global()?,
            0x93 => self.stack_global()?,
            b'R' => self.call()?,
            b'b' => self.build()?,
            other => {
                return Err(self.malformed(
                    "an instruction of a pickled batch of CIFAR-10",
                    &format!("the instruction 0x{other:02x}"),
                ));
            }
        }
        Ok(false)
    }

    fn malformed(&self, expected: &str, found: &str) -> Error {
        self.input.malformed(self.start, expected.to_owned(), found.to_owned())
    }

    /// The error for an instruction that does not fit what is on the stack.
    fn misplaced(&self, expected: &str) -> Error {
        self.malformed(expected, "something else")
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn protocol(&mut self) -> Result<()> {
        match self.array("the protocol of a pickle")? {
            [2..=5] => Ok(()),
            [other] => Err(self.malformed("a pickle of protocol 2 to 5", &format!("protocol {other}"))),
        }
    }

    fn pop(&mut self) -> Result<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(value) if self.stack.len() >= floor => Ok(value),
            _ => Err(self.misplaced("a value for this instruction")),
        }
    }

    /// Everything above the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Value>> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => Err(self.misplaced("a mark for this instruction")),
        }
    }

    fn integer(&mut self, instruction: u8) -> Result<()> {
        let what = "a number";
        let value = match instruction {
            b'K' => i64::from(self.array::<1>(what)?[0]),
            b'M' => i64::from(u16::from_le_bytes(self.array(what)?)),
            _ => i64::from(i32::from_le_bytes(self.array(what)?)),
        };
        self.stack.push(Value::Int(value, self.start));
        Ok(())
    }

    fn string(&mut self, instruction: u8) -> Result<()> {
        let what = "the length of a string";
        let length = match instruction {
            b'U' | b'C' | 0x8c => u64::from(self.array::<1>(what)?[0]),
            b'T' | b'B' | b'X' => u64::from(u32::from_le_bytes(self.array(what)?)),
            _ => u64::from_le_bytes(self.array(what)?),
        };
        let fits = usize::try_from(length).ok().filter(|length| *length <= self.free_bytes);
        let Some(length) = fits else {
            let expected = format!("at most {} more bytes of strings", self.free_bytes);
            return Err(self.malformed(&expected, &format!("a string of {length}")));
        };
        self.free_bytes -= length;
        let mut bytes = vec![0; length];
        self.input.fill(&mut bytes, "a string")?;
        let is_text = matches!(instruction, b'X' | 0x8c | 0x8d);
        self.stack.push(if is_text { Value::Text(bytes) } else { Value::Bytes(bytes) });
        Ok(())
    }

    /// The number of a place in the memory that follows an instruction.
    fn place(&mut self, is_short: bool) -> Result<usize> {
        let what = "a place in the memory";
        Ok(if is_short {
            usize::from(self.array::<1>(what)?[0])
        } else {
            u32::from_le_bytes(self.array(what)?) as usize
        })
    }

    fn remember(&mut self, instruction: u8) -> Result<()> {
        let place = match instruction {
            // The next place: values that are not memoized take one too.
            0x94 => self.memory.len(),
            _ => self.place(instruction == b'q')?,
        };
        let Some(value) = self.stack.last() else { return Err(self.misplaced("a value to remember")) };
        let value = if value.is_remembered() { value.clone() } else { Value::List(Vec::new()) };
        self.memory.insert(place, value);
        Ok(())
    }

    fn recall(&mut self, instruction: u8) -> Result<()> {
        let place = self.place(instruction == b'h')?;
        match self.memory.get(&place).filter(|value| value.is_remembered()) {
            Some(value) => self.stack.push(value.clone()),
            None => return Err(self.misplaced("the place of a short string, a number or a function")),
        }
        Ok(())
    }

    fn append(&mut self, instruction: u8) -> Result<()> {
        let values = if instruction == b'e' { self.pop_mark()? } else { vec![self.pop()?] };
        match self.stack.last_mut() {
            Some(Value::List(list)) if values.iter().all(Value::is_flat) => list.extend(values),
            _ => return Err(self.misplaced("numbers or strings to append to a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, instruction: u8) -> Result<()> {
        let values = if instruction == b'u' {
            self.pop_mark()?
        } else {
            let value = self.pop()?;
            vec![self.pop()?, value]
        };
        let mut values = values.into_iter();
        let Some(Value::Dict(entries)) = self.stack.last_mut() else {
            return Err(self.misplaced("a dictionary to set entries of"));
        };
        while let (Some(key), Some(value)) = (values.next(), values.next()) {
            if !key.is_flat() || matches!(value, Value::Dict(_) | Value::Tuple(_)) {
                return Err(self.misplaced("entries that are numbers, strings, lists or arrays"));
            }
            entries.push((key, value));
        }
        Ok(())
    }

    fn tuple(&mut self, len: usize) -> Result<()> {
        let mut values = (0..len).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        values.reverse();
        self.push_tuple(values)
    }

    fn push_tuple(&mut self, values: Vec<Value>) -> Result<()> {
        let is_shallow = |value: &Value| match value {
            Value::Tuple(inner) => inner.iter().all(Value::is_flat),
            value => value.is_flat(),
        };
        if !values.iter().all(is_shallow) {
            return Err(self.misplaced("a tuple of numbers, strings and shapes"));
        }
        self.stack.push(Value::Tuple(values));
        Ok(())
    }

    /// A function named by two lines.
    fn global(&mut self) -> Result<()> {
        let mut lines = [const { Vec::new() }; 2];
        for line in &mut lines {
            loop {
                match self.array("the name of a function")? {
                    [b'\n'] => break,
                    [byte] if line.len() < LONGEST_REMEMBERED => line.push(byte),
                    _ => return Err(self.misplaced("the name of a function of NumPy")),
                }
            }
        }
        let [module, name] = lines;
        self.push_global(&module, &name)
    }

    /// A function named by two strings.
    fn stack_global(&mut self) -> Result<()> {
        match (self.pop()?, self.pop()?) {
            (Value::Text(name), Value::Text(module)) => self.push_global(&module, &name),
            _ => Err(self.misplaced("the name of a function of NumPy")),
        }
    }

    fn push_global(&mut self, module: &[u8], name: &[u8]) -> Result<()> {
        let global = match (module, name) {
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct") => Global::Reconstruct,
            (b"numpy.core.numeric" | b"numpy._core.numeric", b"_frombuffer") => Global::FromBuffer,
            (b"numpy", b"ndarray") => Global::Array,
            (b"numpy", b"dtype") => Global::ElementType,
            (b"_codecs", b"encode") => Global::Encode,
            _ => {
                let [module, name] = [module, name].map(|text| text.escape_ascii().to_string());
                return Err(self.malformed(
                    "a function that makes an array of NumPy",
                    &format!("{module}.{name}, which is not called"),
                ));
            }
        };
        self.stack.push(Value::Global(global));
        Ok(())
    }

    /// The result of the function on the stack for the arguments on the stack.
    fn call(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments), Value::Global(function)) = (arguments, function) else {
            return Err(self.misplaced("a function and its arguments"));
        };
        let offset = self.start;
        let value = match (function, arguments.as_slice()) {
            (Global::Reconstruct, _) => Some(Value::Array(Array::default())),
            (Global::ElementType, [name, ..]) => {
                name.bytes().map(|name| Value::ElementType(matches!(name, b"u1" | b"|u1" | b"uint8")))
            }
            (Global::Encode, [Value::Text(text), ..]) => latin1(text).map(Value::Bytes),
            (Global::FromBuffer, _) => match <[Value; 4]>::try_from(arguments) {
                Ok([Value::Bytes(data), Value::ElementType(true), Value::Tuple(shape), order])
                    if order.bytes() == Some(b"C") =>
                {
                    integers(&shape).map(|shape| Value::Array(Array { shape, data, offset }))
                }
                _ => None,
            },
            _ => None,
        };
        let Some(value) = value else {
            return Err(self.misplaced("an array of uint8 in row order"));
        };
        self.stack.push(value);
        Ok(())
    }

    /// Sets the state of the array or the type on the stack.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let offset = self.start;
        match (self.stack.last_mut(), state) {
            // The storage of elements, which is known for bytes.
            (Some(Value::ElementType(_)), Value::Tuple(_)) => Ok(()),
            (Some(Value::Array(array)), Value::Tuple(state)) => {
                let Ok([_version, Value::Tuple(shape), Value::ElementType(true), order, Value::Bytes(data)]) =
                    <[Value; 5]>::try_from(state)
                else {
                    return Err(self.misplaced("an array of uint8"));
                };
                let (Some(shape), Value::Constant(Some(false))) = (integers(&shape), order) else {
                    return Err(self.misplaced("an array in row order"));
                };
                *array = Array { shape, data, offset };
                Ok(())
            }
            _ => Err(self.misplaced("an array to build")),
        }
    }
}

/// The numbers of a shape.
fn integers(values: &[Value]) -> Option<Vec<i64>> {
    values.iter().map(|value| if let Value::Int(value, _) = value { Some(*value) } else { None }).collect()
}

/// The bytes that a string in UTF-8 stands for, each as one character of Latin-1.
fn latin1(text: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(text).ok()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
