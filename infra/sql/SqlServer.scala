package org.apache.spark.sql.hive.thriftserver.tidegate

import java.nio.ByteBuffer
import java.nio.charset.StandardCharsets.UTF_8
import java.nio.file.{Files, Paths}
import java.security.MessageDigest
import java.util.{ArrayList, HashMap, Properties, UUID}
import java.util.concurrent.{Executors, ScheduledExecutorService, TimeUnit}
import javax.security.sasl.AuthenticationException

import scala.jdk.CollectionConverters._

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.hive.conf.HiveConf
import org.apache.hadoop.hive.metastore.api.Database
import org.apache.hadoop.hive.ql.metadata.{Partition, Table}
import org.apache.hadoop.hive.ql.security.authorization.{HiveAuthorizationProviderBase, Privilege}
import org.apache.hive.service.auth.PasswdAuthenticationProvider
import org.apache.hive.service.cli.{HiveSQLException, SessionHandle}
import org.apache.hive.service.cli.thrift.ThriftBinaryCLIService
import org.apache.hive.service.rpc.thrift._
import org.apache.hive.service.server.HiveServer2

import org.apache.spark.{SparkConf, SparkContext}
import org.apache.spark.sql.{SparkSession, SparkSessionExtensions}
import org.apache.spark.sql.catalyst.catalog.ExternalCatalogWithListener
import org.apache.spark.sql.classic.{SparkSession => ClassicSession}
import org.apache.spark.sql.hive.thriftserver.{HiveThriftServer2, ReflectedCompositeService, SparkSQLCLIService}
import org.apache.spark.sql.hive.thriftserver.ReflectionUtils.setSuperField
import org.apache.spark.sql.hive.thriftserver.server.SparkSQLOperationManager
import org.apache.spark.sql.hive.thriftserver.ui.HiveThriftServer2EventManager
import org.apache.spark.sql.internal.SharedState

/**
 * A SQL server for BI tools: Spark's Thrift server (the protocol of HiveServer2) on published tables.
 *
 * Its one argument is a file of properties: those that begin with `spark.` and `hive.` go where they belong,
 * `s3a.` is how the storage is reached, `view.` are queries, the rest is of `Settings`.
 */
object SqlServer {
  @volatile var settings: Settings = _

  def main(arguments: Array[String]): Unit = {
    settings = Settings.read(arguments(0))
    val context = new SparkContext(settings.spark)
    settings.storage.foreach { case (key, value) => context.hadoopConfiguration.set(key, value) }
    lazy val lake = new Lake(settings.lake, context.hadoopConfiguration)
    lazy val releases: Releases = new Releases(owner, lake, settings.books, settings.queries, settings.shown)
    lazy val shared: SharedState = new SharedState(context, Map.empty[String, String]) {
      override lazy val externalCatalog = new ExternalCatalogWithListener(
        new ReleaseCatalog(context.conf, context.hadoopConfiguration, releases))
    }
    lazy val owner = session(context, shared, _ => ())
    val guarded = session(context, shared, Guard.inject(_, releases, settings.rows))
    SparkSession.setDefaultSession(guarded)
    releases.refresh()
    // So that a connection finds as a rule what it looks for at its opening.
    every(settings.look) {
      releases.refresh()
      releases.warm()
    }

    HiveThriftServer2.eventManager = new HiveThriftServer2EventManager(context)
    // Hive asks for it by a configuration of its own, which takes it from here.
    System.setProperty("hive.server2.custom.authentication.class", classOf[Login].getName)
    val server = new Server(guarded, releases)
    server.init(settings.hive)
    server.start()
    // stack/sql.py waits for this line.
    println(s"SQL server started at: 127.0.0.1:${settings.port}")
  }

  private def every(seconds: Long)(work: => Unit): Unit = {
    val run: Runnable = () =>
      try work
      catch {
        // A connection that is opened tries it again, and tells whoever opens it.
        case error: Exception => println(s"the releases can't be looked up: $error")
      }
    clock("look-for-releases").scheduleWithFixedDelay(run, 0, seconds, TimeUnit.SECONDS)
  }

  def clock(name: String): ScheduledExecutorService = Executors.newSingleThreadScheduledExecutor { work =>
    val thread = new Thread(work, name)
    thread.setDaemon(true)
    thread
  }

  /** Makes a session on a shared state of ours, which no public way does. */
  private def session(
      context: SparkContext, shared: SharedState, inject: SparkSessionExtensions => Unit): ClassicSession = {
    val extensions = new SparkSessionExtensions
    new io.delta.sql.DeltaSparkSessionExtension().apply(extensions)
    inject(extensions)
    val none = Map.empty[String, String]
    classOf[ClassicSession].getConstructors.find(_.getParameterCount == 6).get
      .newInstance(context, Some(shared), None, extensions, none, none).asInstanceOf[ClassicSession]
  }
}

/** What the server is told. */
class Settings(told: Map[String, String]) {
  val lake: String = told("lake")
  val port: Int = told("port").toInt
  val user: String = told("user")
  val password: String = told("password")
  /** Rows that one result may have. */
  val rows: Long = told("rows").toLong
  /** Seconds that a query, and each fetch of its rows, may take. */
  val timeout: Long = told("timeout_s").toLong
  /** Seconds between two looks for new releases. */
  val look: Long = 10
  /** The system's own books. */
  val books: Seq[String] = told("books").split(',').toSeq
  /** Queries that stand beside tables and books: schema -> name -> query. */
  val queries: Map[String, Map[String, Query]] =
    told.toSeq.collect { case (s"view.$schema.$name", query) => (schema, name, Query.read(query)) }
      .groupMap(_._1)(each => each._2 -> each._3).view.mapValues(_.toMap).toMap
  /** Releases that are listed. */
  val shown: Int = told("releases").toInt

  val spark: SparkConf =
    new SparkConf(false).setAll(told.filter(_._1.startsWith("spark."))).setAppName("tidegate-sql")

  val storage: Map[String, String] =
    told.collect { case (key, value) if key.startsWith("s3a.") => s"fs.$key" -> value }

  /** Of nothing else: what the storage is reached by is not for a client's session. */
  def hive: HiveConf = {
    val conf = new HiveConf(new Configuration(false), classOf[HiveConf])
    told.filter(_._1.startsWith("hive.")).foreach { case (key, value) => conf.set(key, value) }
    conf.set("hive.server2.thrift.port", port.toString)
    conf.set("hive.server2.authentication", "CUSTOM")
    conf.set("hive.security.authorization.manager", classOf[NoAuthorizer].getName)
    conf
  }
}

object Settings {
  def read(file: String): Settings = {
    val found = new Properties
    val in = Files.newBufferedReader(Paths.get(file), UTF_8)
    try found.load(in) finally in.close()
    new Settings(found.asScala.toMap)
  }
}

/** The one login. */
class Login extends PasswdAuthenticationProvider {
  override def Authenticate(user: String, password: String): Unit = {
    val right = same(user, SqlServer.settings.user) & same(password, SqlServer.settings.password)
    if (!right) throw new AuthenticationException("wrong user or password")
  }

  private def same(given: String, wanted: String): Boolean =
    MessageDigest.isEqual(Option(given).getOrElse("").getBytes(UTF_8), wanted.getBytes(UTF_8))
}

/** What Hive's own part asks whether somebody may see metadata: it is not used, and needs no metastore as Hive's do. */
class NoAuthorizer extends HiveAuthorizationProviderBase {
  override def init(conf: Configuration): Unit = ()
  override def authorize(read: Array[Privilege], write: Array[Privilege]): Unit = refuse()
  override def authorize(database: Database, read: Array[Privilege], write: Array[Privilege]): Unit = refuse()
  override def authorize(table: Table, read: Array[Privilege], write: Array[Privilege]): Unit = refuse()
  override def authorize(part: Partition, read: Array[Privilege], write: Array[Privilege]): Unit = refuse()
  override def authorize(
      table: Table,
      part: Partition,
      columns: java.util.List[String],
      read: Array[Privilege],
      write: Array[Privilege]): Unit = refuse()

  private def refuse(): Nothing = throw new RefusedException("what Hive would be asked")
}

class Server(session: ClassicSession, releases: Releases) extends HiveServer2 with ReflectedCompositeService {
  override def init(conf: HiveConf): Unit = {
    val service = new SparkSQLCLIService(this, session)
    setSuperField(this, "cliService", service)
    addService(service)
    val front = new Front(service, session.sparkContext, releases)
    setSuperField(this, "thriftCLIService", front)
    addService(front)
    initCompositeService(conf)
  }

  override def start(): Unit = startCompositeService()
}

/** What clients speak to: pins a session when it is opened, and limits what it may ask for. */
class Front(service: SparkSQLCLIService, context: SparkContext, releases: Releases) extends ThriftBinaryCLIService(service) {
  private val settings = SqlServer.settings
  private val tooLong =
    s"the query took longer than ${settings.timeout} seconds (TIDEGATE_SQL_TIMEOUT says how long it may)"
  private val clock = SqlServer.clock("fetch-timeout")

  override def OpenSession(request: TOpenSessionReq): TOpenSessionResp = {
    val asked = Option(request.getConfiguration).flatMap(conf => Option(conf.get("use:database")))
    // Spark would set whatever a client says here, properties of the JVM among them.
    request.setConfiguration(new HashMap[String, String])
    val response = super.OpenSession(request)
    if (response.getStatus.getStatusCode == TStatusCode.SUCCESS_STATUS) {
      try {
        val handle = response.getSessionHandle
        val session = sessionOf(handle)
        releases.refresh()
        session.conf.set(Pin.Key, releases.latest.fold("")(_.id))
        session.withActive {
          session.sessionState.catalogManager.setCurrentNamespace(Array(asked.getOrElse(Lake.Default)))
        }
      } catch {
        case error: Exception =>
          super.CloseSession(new TCloseSessionReq(response.getSessionHandle))
          response.unsetSessionHandle()
          response.setStatus(HiveSQLException.toTStatus(new HiveSQLException(error.getMessage, error)))
      }
    }
    response
  }

  override def ExecuteStatement(request: TExecuteStatementReq): TExecuteStatementResp = {
    request.setConfOverlay(new HashMap[String, String])
    within(request.getSessionHandle)(super.ExecuteStatement(request))
  }

  override def GetSchemas(request: TGetSchemasReq): TGetSchemasResp =
    within(request.getSessionHandle)(super.GetSchemas(request))

  override def GetTables(request: TGetTablesReq): TGetTablesResp =
    within(request.getSessionHandle)(super.GetTables(request))

  override def GetColumns(request: TGetColumnsReq): TGetColumnsResp =
    within(request.getSessionHandle)(super.GetColumns(request))

  override def GetFunctions(request: TGetFunctionsReq): TGetFunctionsResp =
    within(request.getSessionHandle)(super.GetFunctions(request))

  override def FetchResults(request: TFetchResultsReq): TFetchResultsResp =
    if (request.getFetchType == Front.Log) Front.noLog else fetch(request)

  private def fetch(request: TFetchResultsReq): TFetchResultsResp = {
    // Spark runs a query part by part as its rows are fetched, so each fetch has the time of a query.
    val tag = s"fetch-${UUID.randomUUID}"
    val stop: Runnable = () => context.cancelJobsWithTag(tag, tooLong)
    context.addJobTag(tag)
    val late = clock.schedule(stop, settings.timeout, TimeUnit.SECONDS)
    request.setMaxRows(Math.min(request.getMaxRows, Front.MostAtOnce))
    val response =
      try super.FetchResults(request)
      finally {
        late.cancel(false)
        context.removeJobTag(tag)
      }
    // Whoever did not ask for the state of the query first is told here.
    if (Option(response.getStatus.getErrorMessage).exists(_.contains("found TIMEDOUT"))) {
      response.setStatus(Front.error(tooLong))
    }
    val results = response.getResults
    if (results != null && results.getStartRowOffset + Front.count(results) > settings.rows) {
      response.unsetResults()
      response.setStatus(Front.error(
        s"the result has more than ${settings.rows} rows: add a LIMIT, or aggregate " +
          "(TIDEGATE_SQL_ROWS says how many it may have)"))
    }
    response
  }

  override def GetOperationStatus(request: TGetOperationStatusReq): TGetOperationStatusResp = {
    val response = super.GetOperationStatus(request)
    if (response.getOperationState == TOperationState.TIMEDOUT_STATE) response.setErrorMessage(tooLong)
    response
  }

  override def SetClientInfo(request: TSetClientInfoReq): TSetClientInfoResp =
    new TSetClientInfoResp(new TStatus(TStatusCode.SUCCESS_STATUS)) // Spark would write it into the log

  override def UploadData(request: TUploadDataReq): TUploadDataResp = {
    val response = new TUploadDataResp
    response.setStatus(Front.error("refused: published tables are only read here"))
    response
  }

  override def DownloadData(request: TDownloadDataReq): TDownloadDataResp = {
    val response = new TDownloadDataResp
    response.setStatus(Front.error("refused: run a query instead"))
    response
  }

  /** Says which session a thread works for: the catalogue asks that for the release. */
  private def within[T](handle: TSessionHandle)(work: => T): T = sessionOf(handle) match {
    case null => work // Spark answers that there is no such session
    case session => session.withActive(work)
  }

  private def sessionOf(handle: TSessionHandle): ClassicSession =
    service.getSessionManager.getOperationManager.asInstanceOf[SparkSQLOperationManager]
      .sessionToContexts.get(new SessionHandle(handle)).asInstanceOf[ClassicSession]
}

object Front {
  /** Rows of one answer, whatever a client asks for. */
  val MostAtOnce = 1000L

  /** What a client asks for that wants the log of a query. */
  val Log: Short = 1

  /** No log: some clients ask for it after every query, and take an error there for the query's. */
  def noLog: TFetchResultsResp = {
    val lines = new TStringColumn(new ArrayList[String], ByteBuffer.wrap(Array[Byte](0)))
    val results = new TRowSet(0, new ArrayList[TRow])
    results.addToColumns(TColumn.stringVal(lines))
    val response = new TFetchResultsResp(new TStatus(TStatusCode.SUCCESS_STATUS))
    response.setHasMoreRows(false)
    response.setResults(results)
    response
  }

  def error(what: String): TStatus = {
    val status = new TStatus(TStatusCode.ERROR_STATUS)
    status.setErrorMessage(what)
    status
  }

  /** The rows of an answer, by row or by column. */
  def count(results: TRowSet): Long =
    if (results.isSetColumns && !results.getColumns.isEmpty) {
      results.getColumns.get(0).getFieldValue.asInstanceOf[Any] match {
        case column: TStringColumn => column.getValuesSize
        case column: TI64Column => column.getValuesSize
        case column: TI32Column => column.getValuesSize
        case column: TI16Column => column.getValuesSize
        case column: TByteColumn => column.getValuesSize
        case column: TDoubleColumn => column.getValuesSize
        case column: TBoolColumn => column.getValuesSize
        case column: TBinaryColumn => column.getValuesSize
      }
    } else results.getRowsSize
}
