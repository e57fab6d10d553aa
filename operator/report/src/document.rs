//! What a report looks like in any format: sections of text, tables, charts and code.

use crate::chart::Chart;

/// A section with a heading.
pub(crate) struct Section {
    /// Unique; for links.
    pub id: &'static str,
    pub title: &'static str,
    pub blocks: Vec<Block>,
}

/// All text is plain: each format escapes it.
pub(crate) enum Block {
    Heading(String),
    Text(String),
    List(Vec<String>),
    Table(Table),
    Chart(Chart),
    /// YAML.
    Code(String),
    /// A question of the first page.
    Answer {
        of: String,
        verdict: String,
        text: String,
    },
}

pub(crate) struct Table {
    pub caption: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        Self {
            caption: caption.into(),
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    #[must_use]
    pub fn with(mut self, rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Columns that hold nothing but numbers: they are written to the right.
    pub fn numeric(&self, column: usize) -> bool {
        let number = |cell: &String| {
            let digits = cell.trim_start_matches(['-', '±', '+']);
            [crate::words::ABSENT, "-", "no plan"].contains(&cell.as_str())
                || digits.starts_with(|c: char| c.is_ascii_digit())
                    && cell.len() < 24
                    && !cell.contains(',')
        };
        self.rows
            .iter()
            .filter_map(|row| row.get(column))
            .all(number)
    }
}

impl Section {
    pub fn new(id: &'static str, title: &'static str) -> Self {
        Self {
            id,
            title,
            blocks: Vec::new(),
        }
    }

    pub fn heading(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Heading(text.into()));
    }

    pub fn text(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Text(text.into()));
    }

    pub fn list(&mut self, items: Vec<String>) {
        if !items.is_empty() {
            self.blocks.push(Block::List(items));
        }
    }

    /// A table with rows; without any, what stands there instead.
    pub fn table(&mut self, table: Table) {
        if table.rows.is_empty() {
            let caption = &table.caption;
            self.text(format!("{caption}: {}.", crate::words::ABSENT));
        } else {
            self.blocks.push(Block::Table(table));
        }
    }

    pub fn chart(&mut self, chart: Chart) {
        if chart.has_points() {
            self.blocks.push(Block::Chart(chart));
        }
    }
}
