//! Tables as Parquet files.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use serde_json::Value;

use sharpness_training::ColumnType;

use super::Column;
use crate::{Error, Result};

/// The content of a Parquet file with the table `name`: nullable columns of these types. Lists are JSON in text columns.
///
/// # Errors
/// [`Error::Table`] if it cannot be written.
pub(super) fn parquet(name: &str, columns: &[Column], rows: &[Vec<Value>]) -> Result<Vec<u8>> {
    write_file(name, columns, rows).map_err(|error| Error::Table(format!("cannot write the table: {error}")))
}

fn write_file(
    name: &str,
    columns: &[Column],
    rows: &[Vec<Value>],
) -> std::result::Result<Vec<u8>, ParquetError> {
    let fields = columns.iter().map(|(name, kind)| {
        let (physical, logical) = match kind {
            ColumnType::Integer => (Physical::INT64, None),
            ColumnType::Double => (Physical::DOUBLE, None),
            ColumnType::Boolean => (Physical::BOOLEAN, None),
            ColumnType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        field.with_logical_type(logical).build().map(Arc::new)
    });
    let fields = fields.collect::<std::result::Result<Vec<_>, _>>()?;
    let schema = Arc::new(Type::group_type_builder(name).with_fields(fields).build()?);
    let properties = Arc::new(WriterProperties::builder().build());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties)?;
    let mut group = file.next_row_group()?;
    for (index, (_, kind)) in columns.iter().enumerate() {
        let Some(mut column) = group.next_column()? else { break };
        let cells = || rows.iter().map(|row| &row[index]);
        match kind {
            ColumnType::Integer => write::<Int64Type>(&mut column, cells().map(Value::as_i64))?,
            ColumnType::Double => write::<DoubleType>(&mut column, cells().map(Value::as_f64))?,
            ColumnType::Boolean => write::<BoolType>(&mut column, cells().map(Value::as_bool))?,
            ColumnType::Text => write::<ByteArrayType>(&mut column, cells().map(text))?,
        }
        column.close()?;
    }
    group.close()?;
    file.into_inner()
}

fn text(value: &Value) -> Option<ByteArray> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(ByteArray::from(text.as_str())),
        other => Some(ByteArray::from(other.to_string().as_str())),
    }
}

fn write<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    cells: impl Iterator<Item = Option<T::T>>,
) -> std::result::Result<(), ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        levels.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    Ok(())
}
