package org.apache.spark.sql.hive.thriftserver.tidegate

import java.util.Locale
import java.util.regex.Pattern

import com.fasterxml.jackson.databind.ObjectMapper
import com.google.common.cache.{Cache, CacheBuilder, RemovalListener}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path

import org.apache.spark.SparkConf
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.TableIdentifier
import org.apache.spark.sql.catalyst.analysis._
import org.apache.spark.sql.catalyst.catalog._
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, Project}
import org.apache.spark.sql.catalyst.util.StringUtils
import org.apache.spark.sql.classic.{SparkSession => ClassicSession}
import org.apache.spark.sql.delta.{DeltaLog, Snapshot}
import org.apache.spark.sql.execution.datasources.LogicalRelation
import org.apache.spark.sql.functions.{col, max}
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.types.{DataType, StructType}

object Lake {
  val Latest = "latest"
  val Default = "default"
  val Books = "ops"
  val ReleasePrefix = "release_"

  def isSchema(name: String): Boolean = {
    val lower = name.toLowerCase(Locale.ROOT)
    lower == Latest || lower == Default || lower == Books || lower.startsWith(ReleasePrefix)
  }
}

/** Where the tables of a lake are, and the texts of views on them. */
class Lake(address: String, hadoop: => Configuration) {
  private lazy val root = {
    val path = new Path(address)
    path.getFileSystem(hadoop).makeQualified(path).toString
  }

  def path(place: String): Path = new Path(s"$root/$place")

  def contains(path: Path): Boolean = {
    val whole = path.getFileSystem(hadoop).makeQualified(path).toString
    (whole.startsWith(s"$root/warehouse/") || whole.startsWith(s"$root/ops/")) &&
      !whole.split('/').contains("..")
  }

  /** The text of a view of a table, at a version or as it is now. */
  def viewText(place: String, version: Option[Long]): String =
    s"SELECT * FROM delta.`$root/$place`" + version.fold("")(number => s" VERSION AS OF $number")

  private lazy val ours = (
    "SELECT \\* FROM delta\\.`" + Pattern.quote(root) + "/((?:warehouse|ops)/[a-z_]+)`(?: VERSION AS OF ([0-9]+))?").r

  /** The place and the version that the text of a view of ours names; None for any other text. */
  def viewed(text: String): Option[(String, Option[Long])] = text match {
    case ours(place, version) => Some((place, Option(version).map(_.toLong)))
    case _ => None
  }
}

/** A query that stands beside the tables: of a release, `{version}` in its text is that of events, `{release}` its id. */
case class Query(meaning: String, columns: StructType, text: String) {
  def of(release: Release): Option[Query] = release.versions.get("events").map { version =>
    val id = release.id.replaceAll("[^A-Za-z0-9_-]", "") // it stands between quotes
    copy(text = text.replace("{version}", version.toString).replace("{release}", id))
  }
}

object Query {
  /** The schema of those that each release has. */
  val OfReleases = "main"

  def read(told: String): Query = {
    val tree = new ObjectMapper().readTree(told)
    val columns = DataType.fromJson(tree.get("columns").toString).asInstanceOf[StructType]
    Query(tree.get("meaning").asText, columns, tree.get("text").asText)
  }
}

/** What a name of a schema stands for. */
sealed trait Shown
case class Pinned(place: String, version: Option[Long]) extends Shown
case class Asked(query: Query) extends Shown

/** A release: versions of the warehouse's tables that belong together. */
case class Release(id: String, sequence: Long, versions: Map[String, Long]) {
  val schema: String = Lake.ReleasePrefix + id.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]", "_")
}

/**
 * The releases of a lake, as its books say them.
 *
 * @param owner a session without a guard
 * @param books the names of the system's own books
 * @param queries what there is beside tables and books: schema -> name -> query
 * @param shown how many of the newest are listed; any other that is kept is found by its name
 */
class Releases(
    owner: => ClassicSession,
    val lake: Lake,
    val books: Seq[String],
    val queries: Map[String, Map[String, Query]],
    shown: Int) {
  private case class Known(seen: (Long, Long), newestFirst: Vector[Release], kept: Map[String, Long]) {
    val byId: Map[String, Release] = newestFirst.map(each => each.id -> each).toMap
    val bySchema: Map[String, Release] = newestFirst.map(each => each.schema -> each).toMap
    def isKept(release: Release): Boolean =
      release.versions.forall { case (name, version) => version >= kept.getOrElse(s"warehouse/$name", 0L) }
  }

  @volatile private var known = Known((-1L, -1L), Vector.empty, Map.empty)

  /** What Delta knows of tables at versions, which never changes: to put it together takes it a second. */
  private val snapshots: Cache[(String, Long), Snapshot] = {
    val forget: RemovalListener[(String, Long), Snapshot] = gone => gone.getValue.uncache()
    // Twice the tables of all releases that are listed.
    CacheBuilder.newBuilder.maximumSize(Math.max(100L, 10L * shown)).removalListener(forget).build[(String, Long), Snapshot]()
  }

  /** Reads the books again if they have changed; costs two listings of folders if not. */
  def refresh(): Unit = synchronized {
    owner.withActive {
      val seen = (version("ops/releases"), version("ops/maintenance"))
      if (seen != known.seen) {
        known = Known(seen, if (seen._1 < 0) Vector.empty else read(), if (seen._2 < 0) Map.empty else kept())
      }
    }
  }

  def latest: Option[Release] = known.newestFirst.headOption

  def byId(id: String): Option[Release] = known.byId.get(id)

  /** Looks at the tables of the releases that are listed before somebody waits for that; the newest first. */
  def warm(): Unit =
    for (release <- recent; (name, version) <- release.versions) snapshot(s"warehouse/$name", Some(version))

  /** The release of a schema, if it can still be read. */
  def bySchema(schema: String): Option[Release] = {
    if (!known.bySchema.contains(schema)) refresh()
    known.bySchema.get(schema).filter(known.isKept)
  }

  def recent: Seq[Release] = known.newestFirst.filter(known.isKept).take(shown)

  /** A table at a version, or as it is now; None where there is none yet. */
  def snapshot(place: String, at: Option[Long]): Option[Snapshot] = owner.withActive {
    val log = DeltaLog.forTable(owner, lake.path(place))
    val version = at.getOrElse(log.update().version)
    if (version < 0) None else Some(snapshots.get((place, version), () => log.getSnapshotAt(version)))
  }

  /**
   * What the text of a view of ours means, None for any other text.
   *
   * Spark itself would not read it: in these sessions SQL may not name files (`spark.sql.runSQLOnFiles`).
   */
  def viewPlan(text: String): Option[LogicalPlan] =
    lake.viewed(text).flatMap { case (place, version) => snapshot(place, version) }.map { found =>
      val relation = found.deltaLog.createRelation(snapshotToUseOpt = Some(found), isTimeTravelQuery = true)
      Project(Seq(UnresolvedStar(None)), LogicalRelation(relation, isStreaming = false))
    }

  private def version(place: String): Long = DeltaLog.forTable(owner, lake.path(place)).update().version

  private def read(): Vector[Release] =
    owner.read.format("delta").load(lake.path("ops/releases").toString)
      .select("release_id", "sequence", "versions").collect()
      .map(row => Release(row.getString(0), row.getLong(1), row.getMap[String, Long](2).toMap))
      .sortBy(-_.sequence).toVector

  private def kept(): Map[String, Long] =
    owner.read.format("delta").load(lake.path("ops/maintenance").toString)
      .where(col("kept_from").isNotNull).groupBy("place").agg(max("kept_from")).collect()
      .map(row => row.getString(0) -> row.getLong(1)).toMap
}

object Pin {
  /** The setting of a session that holds the id of its release. */
  val Key = "spark.tidegate.release"

  def of(session: SparkSession): Option[String] = session.conf.getOption(Key).filter(_.nonEmpty)
}

/**
 * A catalogue in which each release is a schema of views, made when they are asked for.
 *
 * `latest` and `default` are the release that the session was pinned to when it was opened. Nothing can be
 * put into it.
 */
class ReleaseCatalog(conf: SparkConf, hadoop: Configuration, releases: => Releases)
    extends InMemoryCatalog(conf, hadoop) {

  /** What is in a schema; None where there is no such schema. */
  private def content(schema: String): Option[Map[String, Shown]] = schema match {
    case Lake.Latest | Lake.Default =>
      Some(pinned.fold(Map.empty[String, Shown])(ofRelease))
    case Lake.Books =>
      val books = releases.books.map(name => name -> Pinned(s"ops/$name", None))
      Some(books.toMap ++ queries(Lake.Books).view.mapValues(Asked))
    case name if name.startsWith(Lake.ReleasePrefix) =>
      // A session's own stays its own: maintenance keeps for days what queries have begun with.
      pinned.filter(_.schema == name).orElse(releases.bySchema(name)).map(ofRelease)
    case _ => None
  }

  private def pinned: Option[Release] = {
    val session = SparkSession.getActiveSession.getOrElse(
      throw new IllegalStateException("no session: nothing says which release is the latest"))
    Pin.of(session).flatMap(releases.byId)
  }

  private def ofRelease(release: Release): Map[String, Shown] = {
    val asked = for ((name, query) <- queries(Query.OfReleases); its <- query.of(release)) yield name -> Asked(its)
    asked ++ release.versions.map { case (name, version) => name -> Pinned(s"warehouse/$name", Some(version)) }
  }

  private def queries(schema: String): Map[String, Query] = releases.queries.getOrElse(schema, Map.empty)

  private def view(schema: String, name: String): Option[CatalogTable] =
    content(schema).flatMap(_.get(name)).flatMap {
      case Pinned(place, version) =>
        releases.snapshot(place, version).map { found =>
          table(schema, name, found.schema, releases.lake.viewText(place, version), Option(found.metadata.description))
        }
      case Asked(query) =>
        val told = table(schema, name, query.columns, query.text, Some(query.meaning))
        Some(told.copy(properties = asWritten ++ CatalogTable.catalogAndNamespaceToProps("spark_catalog", Seq(schema))))
    }

  /** How a query of ours is read, whatever its session has set: a date is one of UTC. */
  private val asWritten = Map(
    SQLConf.SESSION_LOCAL_TIMEZONE.key -> "UTC", SQLConf.ANSI_ENABLED.key -> "true"
  ).map { case (key, value) => s"${CatalogTable.VIEW_SQL_CONFIG_PREFIX}$key" -> value }

  private def table(
      schema: String, name: String, columns: StructType, text: String, meaning: Option[String]): CatalogTable =
    CatalogTable(
      TableIdentifier(name, Some(schema)),
      CatalogTableType.VIEW,
      CatalogStorageFormat.empty,
      columns,
      viewText = Some(text),
      viewOriginalText = Some(text),
      comment = meaning,
      owner = "",
      createTime = 0)

  override def databaseExists(schema: String): Boolean = content(schema).isDefined

  override def getDatabase(schema: String): CatalogDatabase = {
    if (!databaseExists(schema)) throw new NoSuchDatabaseException(schema)
    val told = schema match {
      case Lake.Latest | Lake.Default =>
        pinned.fold("nothing has been released yet")(r => s"release ${r.id}, the latest when this connection was opened")
      case Lake.Books => "the system's own books, as they are now"
      case _ => "the tables of a release"
    }
    CatalogDatabase(schema, told, new java.net.URI("tidegate:/"), Map.empty)
  }

  override def listDatabases(): Seq[String] =
    Seq(Lake.Default, Lake.Latest, Lake.Books) ++ releases.recent.map(_.schema)

  override def listDatabases(pattern: String): Seq[String] = {
    // A release that is asked for by its name is there, listed or not.
    // (Drivers ask by patterns, in which an underscore is any character: Spark makes a dot of it.)
    val asked = pattern.toLowerCase(Locale.ROOT).replace('.', '_')
    val more = if (asked.matches("release_[a-z0-9_]+")) releases.bySchema(asked).map(_.schema).toSeq else Nil
    (StringUtils.filterPattern(listDatabases(), pattern) ++ more).distinct
  }

  override def tableExists(schema: String, name: String): Boolean = content(schema).exists(_.contains(name))

  override def getTable(schema: String, name: String): CatalogTable =
    view(schema, name).getOrElse(throw new NoSuchTableException(schema, name))

  override def getTablesByName(schema: String, names: Seq[String]): Seq[CatalogTable] =
    names.flatMap(view(schema, _))

  override def listTables(schema: String): Seq[String] =
    content(schema).getOrElse(throw new NoSuchDatabaseException(schema)).keys.toSeq.sorted

  override def listTables(schema: String, pattern: String): Seq[String] =
    StringUtils.filterPattern(listTables(schema), pattern)

  override def listViews(schema: String, pattern: String): Seq[String] = listTables(schema, pattern)

  override def functionExists(schema: String, name: String): Boolean = false
  override def getFunction(schema: String, name: String): CatalogFunction =
    throw new NoSuchFunctionException(schema, name)
  override def listFunctions(schema: String, pattern: String): Seq[String] = Nil

  override def createDatabase(made: CatalogDatabase, ignoreIfExists: Boolean): Unit = refuse()
  override def dropDatabase(name: String, ignoreIfNotExists: Boolean, cascade: Boolean): Unit = refuse()
  override def alterDatabase(changed: CatalogDatabase): Unit = refuse()
  override def createTable(made: CatalogTable, ignoreIfExists: Boolean): Unit = refuse()
  override def dropTable(schema: String, name: String, ignoreIfNotExists: Boolean, purge: Boolean): Unit = refuse()
  override def renameTable(schema: String, from: String, to: String): Unit = refuse()
  override def alterTable(changed: CatalogTable): Unit = refuse()
  override def createFunction(schema: String, made: CatalogFunction): Unit = refuse()

  private def refuse(): Nothing = throw new RefusedException("to change the catalogue")
}
