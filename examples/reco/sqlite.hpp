#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "units.hpp"

namespace reco {

/// An SQLite database; every failure is a UsageError that names the file.
class Database {
 public:
  static Database open(const std::string& path) { return {path, SQLITE_OPEN_READONLY}; }
  static Database create(const std::string& path) {
    return {path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE};
  }

  void execute(const std::string& sql);
  const std::string& path() const { return path_; }
  [[noreturn]] void fail(const std::string& what) const;

 private:
  friend class Statement;
  Database(const std::string& path, int flags);

  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close(handle); }
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> handle_;
};

/// A prepared statement. Parameters count from 1, columns from 0. The database must outlive it.
class Statement {
 public:
  Statement(Database& database, std::string_view sql);

  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, double value);
  /// Text and bytes are not copied: they must live until step().
  Statement& bind(int parameter, std::string_view text);
  Statement& bind_bytes(int parameter, const void* data, std::size_t size);

  /// True if there is a row. After a statement without rows, or the last row, it can be bound and run again.
  bool step();

  std::int64_t integer(int column) { return sqlite3_column_int64(handle_.get(), column); }
  double real(int column) { return sqlite3_column_double(handle_.get(), column); }
  std::string text(int column);

  /// The column's bytes as `count` objects of T; another size is an error.
  template <class T>
  std::vector<T> array(int column, std::size_t count) {
    std::vector<T> result(count);
    std::memcpy(result.data(), bytes(column, count * sizeof(T)), count * sizeof(T));
    return result;
  }
  template <class T>
  T object(int column) {
    T result;
    std::memcpy(&result, bytes(column, sizeof(T)), sizeof(T));
    return result;
  }

 private:
  const void* bytes(int column, std::size_t size);

  struct Finalize {
    void operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
  };
  Database& database_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

}  // namespace reco
