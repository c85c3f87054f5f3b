{{- define "connector.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 letters: a StatefulSet's pods carry a revision of 11 more in a label. */}}
{{- define "connector.fullname" -}}
{{- $name := include "connector.name" . -}}
{{- $full := .Release.Name -}}
{{- if not (contains $name .Release.Name) -}}
{{- $full = printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- default $full .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "connector.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What belongs to the release; a selector is immutable, so nothing here may ever follow a value but the names. */}}
{{- define "connector.releaseLabels" -}}
app.kubernetes.io/name: {{ include "connector.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The pods that do the work, and not that of `helm test`. */}}
{{- define "connector.selectorLabels" -}}
{{ include "connector.releaseLabels" . }}
app.kubernetes.io/component: connector
{{- end -}}

{{- define "connector.labels" -}}
{{- $own := include "connector.releaseLabels" . | fromYaml -}}
{{- $more := dict "helm.sh/chart" (include "connector.chart" .) "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/managed-by" .Release.Service -}}
{{- toYaml (merge $own $more .Values.commonLabels) -}}
{{- end -}}

{{/* Labels of a pod. The chart's version is none of them: a chart that changes nothing must not restart anything. */}}
{{- define "connector.podLabels" -}}
{{- toYaml (merge (include "connector.selectorLabels" . | fromYaml) .Values.podLabels .Values.commonLabels) -}}
{{- end -}}

{{- define "connector.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "connector.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "connector.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/*
Every setting as its variable, a JSON object of texts: section and key make the name, so a new setting needs no template.
toJson writes a number out, where quote would make 1.048576e+08 of 104857600. Null leaves the connector's own default.
*/}}
{{- define "connector.settings" -}}
{{- $prefixes := dict "kafka" "KAFKA" "target" "TARGET" "coalesce" "COALESCE" "event" "EVENT" "schemaRegistry" "SCHEMA_REGISTRY" "retry" "RETRY" "deadLetter" "DEAD_LETTER" "priority" "PRIORITY" "quota" "QUOTA" "commit" "COMMIT" "shutdown" "SHUTDOWN" "ops" "OPS" "logging" "LOG" -}}
{{- $settings := dict -}}
{{- range $section, $prefix := $prefixes -}}
{{- range $key, $value := (get $.Values $section | default dict) -}}
{{- $mounted := and (eq $section "event") (has $key (list "mapping" "existingMappingConfigMap")) -}}
{{- if not (or $mounted (kindIs "invalid" $value)) -}}
{{- $text := toJson $value -}}
{{- if kindIs "string" $value -}}
{{- $text = $value -}}
{{- else if kindIs "slice" $value -}}
{{- $text = join "," $value -}}
{{- end -}}
{{- $_ := set $settings (printf "%s_%s" $prefix (snakecase $key | upper)) $text -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if include "connector.mappingConfigMap" . -}}
{{- $_ := set $settings "EVENT_MAPPING_FILE" (printf "%s/mapping.yaml" (include "connector.mappingFolder" .)) -}}
{{- end -}}
{{- if include "connector.tokenSchedule" . -}}
{{- $_ := set $settings "TARGET_AUTH_TOKEN_FILE" "/etc/target-token/token" -}}
{{- end -}}
{{- toJson $settings -}}
{{- end -}}

{{/* The ConfigMap whose mapping is mounted; empty: none is. */}}
{{- define "connector.mappingConfigMap" -}}
{{- if .Values.event.mapping -}}
{{- printf "%s-mapping" (include "connector.fullname" .) -}}
{{- else -}}
{{- default "" .Values.event.existingMappingConfigMap -}}
{{- end -}}
{{- end -}}

{{- define "connector.mappingFolder" -}}
/etc/target-profile-connector
{{- end -}}

{{/* As it was given, or as JSON, which is YAML: toYaml would write 1e+07 for 10000000. */}}
{{- define "connector.mappingText" -}}
{{- $mapping := .Values.event.mapping -}}
{{- ternary $mapping (toPrettyJson $mapping) (kindIs "string" $mapping) -}}
{{- end -}}

{{/* Empty: no CronJob renews the token. With --reuse-values the section may be missing. */}}
{{- define "connector.tokenSchedule" -}}
{{- dig "schedule" "" (.Values.token | default dict) -}}
{{- end -}}

{{/* Of the Secret that holds the token, and of all that renews it. A CronJob's name has 52 letters at most. */}}
{{- define "connector.tokenName" -}}
{{- printf "%s-token" (include "connector.fullname" . | trunc 46 | trimSuffix "-") -}}
{{- end -}}

{{/* Those of the settings that are for `connector token` alone: the connector's own pods get none of them. */}}
{{- define "connector.tokenSettings" -}}
{{- $own := dict -}}
{{- range $name, $text := (include "connector.settings" . | fromJson) -}}
{{- if or (hasPrefix "TARGET_TOKEN_" $name) (eq "TARGET_TENANT" $name) -}}
{{- $_ := set $own $name $text -}}
{{- end -}}
{{- end -}}
{{- toJson $own -}}
{{- end -}}

{{/* Those of the settings that are secret: always, or as they look: a property's name, a header, a login in an address. */}}
{{- define "connector.secretSettings" -}}
{{- $settings := include "connector.settings" . | fromJson -}}
{{- $secret := pick $settings "KAFKA_SASL_PASSWORD" "KAFKA_SSL_KEY_PASSWORD" "TARGET_AUTH_TOKEN" "SCHEMA_REGISTRY_PASSWORD" "SCHEMA_REGISTRY_TOKEN" "SCHEMA_REGISTRY_OAUTH_CLIENT_SECRET" "SCHEMA_REGISTRY_SSL_KEY_PASSWORD" -}}
{{- $registry := .Values.schemaRegistry | default dict -}}
{{- if $registry.headers -}}
{{- $_ := set $secret "SCHEMA_REGISTRY_HEADERS" (get $settings "SCHEMA_REGISTRY_HEADERS") -}}
{{- end -}}
{{- if contains "@" ($registry.url | default "") -}}
{{- $_ := set $secret "SCHEMA_REGISTRY_URL" $registry.url -}}
{{- end -}}
{{- range $name, $_ := .Values.kafka.properties -}}
{{- if regexMatch "(?i)password|secret|key|token|jaas" $name -}}
{{- $_ := set $secret "KAFKA_PROPERTIES" (get $settings "KAFKA_PROPERTIES") -}}
{{- end -}}
{{- end -}}
{{- toJson $secret -}}
{{- end -}}

{{- define "connector.plainSettings" -}}
{{- $plain := include "connector.settings" . | fromJson -}}
{{- range $name, $_ := (include "connector.tokenSettings" . | fromJson) -}}
{{- $_ := unset $plain $name -}}
{{- end -}}
{{- range $name, $_ := (include "connector.secretSettings" . | fromJson) -}}
{{- $_ := unset $plain $name -}}
{{- end -}}
{{- toJson $plain -}}
{{- end -}}

{{- define "connector.bootstrapServers" -}}
{{- get (include "connector.settings" . | fromJson) "KAFKA_BOOTSTRAP_SERVERS" -}}
{{- end -}}

{{- define "connector.deadLetterTopic" -}}
{{- if kindIs "invalid" .Values.kafka.deadLetterTopic -}}
{{- printf "%s.dead-letter" .Values.kafka.groupId -}}
{{- else -}}
{{- .Values.kafka.deadLetterTopic -}}
{{- end -}}
{{- end -}}

{{- define "connector.quotaTopic" -}}
{{- default (printf "%s.quota" .Values.kafka.groupId) .Values.quota.topic -}}
{{- end -}}

{{/* "true" when each pod is a static member. */}}
{{- define "connector.staticMembership" -}}
{{- if kindIs "invalid" .Values.workload.staticMembership -}}
{{- eq .Values.workload.kind "StatefulSet" -}}
{{- else -}}
{{- .Values.workload.staticMembership -}}
{{- end -}}
{{- end -}}

{{- define "connector.terminationGracePeriodSeconds" -}}
{{- $least := add (ceil .Values.shutdown.graceSeconds | int64) 5 -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{- add $least 10 -}}
{{- else if lt (int64 $given) $least -}}
{{- fail (printf "terminationGracePeriodSeconds: %v is less than shutdown.graceSeconds and 5 more, %d: the drain would be cut off by SIGKILL. Raise it, or leave it null" $given $least) -}}
{{- else -}}
{{- int64 $given -}}
{{- end -}}
{{- end -}}

{{/* Values that are each allowed but not together: better refused here than found in a pod that never gets ready. */}}
{{- define "connector.validate" -}}
{{- if and (eq .Values.workload.kind "Deployment") (eq (include "connector.staticMembership" .) "true") -}}
{{- fail "workload.staticMembership: needs workload.kind StatefulSet: a Deployment's pods have no name that outlives them" -}}
{{- end -}}
{{- if has .Values.ops.host (list "127.0.0.1" "::1" "localhost") -}}
{{- fail (printf "ops.host: at %s no probe reaches the connector; use 0.0.0.0 or ::" .Values.ops.host) -}}
{{- end -}}
{{- if and .Values.keda.enabled (gt (int64 .Values.keda.minReplicas) (int64 .Values.keda.maxReplicas)) -}}
{{- fail (printf "keda.minReplicas: %d is above keda.maxReplicas, %d" (int64 .Values.keda.minReplicas) (int64 .Values.keda.maxReplicas)) -}}
{{- end -}}
{{- if and .Values.strimzi.enabled (not .Values.strimzi.cluster) -}}
{{- fail "strimzi.cluster: needed with strimzi.enabled: the name of the Kafka cluster in Strimzi" -}}
{{- end -}}
{{- if and .Values.strimzi.enabled (gt (int64 .Values.strimzi.minInSyncReplicas) (int64 .Values.strimzi.replicas)) -}}
{{- fail "strimzi.minInSyncReplicas: above strimzi.replicas no record could ever be written" -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
{{- fail "serviceMonitor.enabled: podMonitor.enabled is set too, and every sample would be counted twice: set only one" -}}
{{- end -}}
{{- include "connector.validateSettings" . -}}
{{- include "connector.validateToken" . -}}
{{- include "connector.validateMemory" . -}}
{{- end -}}

{{/* The rules of connector/settings/conflicts.py, as far as values alone show a mistake; the rest may come from a Secret. */}}
{{- define "connector.validateSettings" -}}
{{- $kafka := .Values.kafka -}}
{{- $elsewhere := or .Values.secret.existingSecret .Values.extraEnv .Values.extraEnvFrom -}}
{{- if gt (float64 .Values.retry.initialSeconds) (float64 .Values.retry.maxSeconds) -}}
{{- fail (printf "retry.initialSeconds: %v is above retry.maxSeconds, %v" .Values.retry.initialSeconds .Values.retry.maxSeconds) -}}
{{- end -}}
{{- $age := float64 (.Values.event.maxAgeSeconds | default 0) -}}
{{- if and (gt $age 0.0) (le $age (float64 .Values.coalesce.lingerSeconds)) -}}
{{- fail (printf "event.maxAgeSeconds: it must be above coalesce.lingerSeconds, %v: else every change is too old when its linger ends" .Values.coalesce.lingerSeconds) -}}
{{- end -}}
{{- if and (int64 .Values.quota.updates) (gt (float64 (.Values.quota.lowShare | default 1)) (float64 (.Values.quota.normalShare | default 1))) -}}
{{- fail (printf "quota.lowShare: it is above quota.normalShare, %v: low would be sent where normal waits" .Values.quota.normalShare) -}}
{{- end -}}
{{- include "connector.validateProperties" . -}}
{{- $own := dict "kafka.deadLetterTopic" (include "connector.deadLetterTopic" .) -}}
{{- if int64 .Values.quota.updates -}}
{{- $_ := set $own "quota.topic" (include "connector.quotaTopic" .) -}}
{{- end -}}
{{- range $key, $topic := $own -}}
{{- if and $topic (not (regexMatch "^[A-Za-z0-9._-]{1,249}$" $topic)) -}}
{{- fail (printf "%s: its default, %q, is no topic name: set it, or another kafka.groupId" $key $topic) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.target.authToken .Values.target.authTokenFile -}}
{{- fail "target.authToken: target.authTokenFile is set too: set only one of them" -}}
{{- end -}}
{{- $mappings := list -}}
{{- range $key := list "mapping" "mappingFile" "existingMappingConfigMap" -}}
{{- if get $.Values.event $key -}}
{{- $mappings = append $mappings $key -}}
{{- end -}}
{{- end -}}
{{- if gt (len $mappings) 1 -}}
{{- fail (printf "event.%s: event.%s is set too: set only one of them" (index $mappings 0) (index $mappings 1)) -}}
{{- end -}}
{{- include "connector.validateRegistry" . -}}
{{- if has (include "connector.deadLetterTopic" .) $kafka.topics -}}
{{- fail "kafka.deadLetterTopic: it is also one of kafka.topics: dead letters would be read again as events" -}}
{{- end -}}
{{- if and (int64 .Values.quota.updates) (has (include "connector.quotaTopic" .) $kafka.topics) -}}
{{- fail "quota.topic: it is also one of kafka.topics: the ledger would be read as events" -}}
{{- end -}}
{{- if and (int64 .Values.quota.updates) (eq (include "connector.quotaTopic" .) (include "connector.deadLetterTopic" .)) -}}
{{- fail "quota.topic: it is also kafka.deadLetterTopic: dead letters would stand in the ledger" -}}
{{- end -}}
{{- if not $elsewhere -}}
{{- $protocol := $kafka.securityProtocol -}}
{{- if and (hasPrefix "sasl_" $protocol) (not $kafka.saslMechanism) -}}
{{- fail (printf "kafka.saslMechanism: needed with kafka.securityProtocol %s: say how to log in" $protocol) -}}
{{- end -}}
{{- if has $kafka.saslMechanism (list "PLAIN" "SCRAM-SHA-256" "SCRAM-SHA-512") -}}
{{- range $key := list "saslUsername" "saslPassword" -}}
{{- if and (hasPrefix "sasl_" $protocol) (not (get $kafka $key)) -}}
{{- fail (printf "kafka.%s: needed with kafka.saslMechanism %s" $key $kafka.saslMechanism) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $key, $other := dict "sslKeyLocation" "sslCertificateLocation" "sslCertificateLocation" "sslKeyLocation" -}}
{{- if and (not (get $kafka $key)) (get $kafka $other) (hasSuffix "ssl" $protocol) -}}
{{- fail (printf "kafka.%s: needed with kafka.%s" $key $other) -}}
{{- end -}}
{{- end -}}
{{- if and $kafka.sslKeyPassword (not $kafka.sslKeyLocation) (hasSuffix "ssl" $protocol) -}}
{{- fail "kafka.sslKeyLocation: needed with kafka.sslKeyPassword" -}}
{{- end -}}
{{- range $key := list "saslMechanism" "saslUsername" "saslPassword" -}}
{{- if and (get $kafka $key) (not (hasPrefix "sasl_" $protocol)) -}}
{{- fail (printf "kafka.%s: it has no effect while kafka.securityProtocol is %s: use sasl_ssl or sasl_plaintext" $key $protocol) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "sslCaLocation" "sslCertificateLocation" "sslKeyLocation" "sslKeyPassword" -}}
{{- if and (get $kafka $key) (not (hasSuffix "ssl" $protocol)) -}}
{{- fail (printf "kafka.%s: it has no effect while kafka.securityProtocol is %s: use ssl or sasl_ssl" $key $protocol) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The rules for the Schema Registry. */}}
{{- define "connector.validateRegistry" -}}
{{- $registry := .Values.schemaRegistry | default dict -}}
{{- $login := "" -}}
{{- range $key := list "username" "token" "tokenFile" "oauthTokenUrl" -}}
{{- if and $login (get $registry $key) -}}
{{- fail (printf "schemaRegistry.%s: schemaRegistry.%s is set too: the registry takes one login" $key $login) -}}
{{- end -}}
{{- if get $registry $key -}}
{{- $login = $key -}}
{{- end -}}
{{- end -}}
{{- if not (or .Values.secret.existingSecret .Values.extraEnv .Values.extraEnvFrom) -}}
{{- if not $registry.url -}}
{{- if has .Values.event.format (list "avro" "protobuf") -}}
{{- fail (printf "schemaRegistry.url: needed with event.format %s, whose schemas a Schema Registry has" .Values.event.format) -}}
{{- end -}}
{{- range $key, $value := omit $registry "url" "timeoutSeconds" "cacheMaxSchemas" -}}
{{- if $value -}}
{{- fail (printf "schemaRegistry.%s: it has no effect without schemaRegistry.url" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $needs := list (list "username" "password") (list "password" "username") (list "oauthClientId" "oauthTokenUrl") (list "oauthClientSecret" "oauthTokenUrl") (list "oauthScope" "oauthTokenUrl") (list "oauthTokenUrl" "oauthClientId") (list "oauthTokenUrl" "oauthClientSecret") (list "sslKeyLocation" "sslCertificateLocation") (list "sslKeyPassword" "sslCertificateLocation") -}}
{{- range $needs -}}
{{- if and (get $registry (first .)) (not (get $registry (last .))) -}}
{{- fail (printf "schemaRegistry.%s: needed with schemaRegistry.%s" (last .) (first .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What `connector token` needs, as far as values alone show that it is missing. */}}
{{- define "connector.validateToken" -}}
{{- $target := .Values.target -}}
{{- $elsewhere := or (dig "existingSecret" "" (.Values.token | default dict)) .Values.extraEnv -}}
{{- if include "connector.tokenSchedule" . -}}
{{- range $key := list "authToken" "authTokenFile" -}}
{{- if get $target $key -}}
{{- fail (printf "token.schedule: target.%s is set too, and the connector would read that: unset it" $key) -}}
{{- end -}}
{{- end -}}
{{- if and $target.tokenClientSecret $target.tokenClientSecretFile -}}
{{- fail "target.tokenClientSecret: target.tokenClientSecretFile is set too: set only one of them" -}}
{{- end -}}
{{- if not $elsewhere -}}
{{- $url := $target.tokenUrl | default "{tenant}" -}}
{{- if and (contains "{tenant}" $url) (not $target.tenant) -}}
{{- fail "target.tenant: needed with token.schedule" -}}
{{- end -}}
{{- if not $target.tokenClientId -}}
{{- fail "target.tokenClientId: needed with token.schedule" -}}
{{- end -}}
{{- if not (or $target.tokenClientSecret $target.tokenClientSecretFile) -}}
{{- fail "token.existingSecret: needed with token.schedule, or target.tokenClientSecret or target.tokenClientSecretFile" -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- range $key := list "tenant" "tokenClientId" "tokenClientSecret" "tokenClientSecretFile" -}}
{{- if get $target $key -}}
{{- fail (printf "target.%s: it has no effect without token.schedule" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The rules of connector/settings/properties.py; which names, and why, is in files/properties.json. */}}
{{- define "connector.validateProperties" -}}
{{- $rules := .Files.Get "files/properties.json" | fromJson -}}
{{- $kafka := .Values.kafka -}}
{{- range $name, $_ := $kafka.properties -}}
{{- with get $rules.names $name -}}
{{- fail (printf "kafka.properties: %s %s" $name .) -}}
{{- end -}}
{{- range $shape, $why := $rules.shapes -}}
{{- if regexMatch $shape $name -}}
{{- fail (printf "kafka.properties: %s %s" $name $why) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $kafka.groupProtocol "consumer") (has $name $rules.classicOnly) -}}
{{- fail (printf "kafka.properties: %s is the broker's to set when kafka.groupProtocol is consumer: remove it" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A bound in bytes that the memory limit does not hold is a pod that is killed in the first outage, again and again. */}}
{{- define "connector.validateMemory" -}}
{{- $limit := dig "limits" "memory" "" (.Values.resources | default dict) | toString -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 -}}
{{- $unit := regexFind "[A-Za-z]*$" $limit -}}
{{- if and (regexMatch "^[0-9]+(\\.[0-9]+)?[A-Za-z]*$" $limit) (hasKey $units $unit) -}}
{{- $bytes := mulf (trimSuffix $unit $limit | float64) (get $units $unit | float64) -}}
{{- $coalesce := .Values.coalesce -}}
{{- $known := ternary (mulf 1000 (float64 $coalesce.unchangedMaxVisitors)) 0.0 (gt (float64 $coalesce.unchangedSeconds) 0.0) -}}
{{- $and := ternary (printf " 1,000 bytes for each of coalesce.unchangedMaxVisitors, %d," (int64 $coalesce.unchangedMaxVisitors)) "" (gt $known 0.0) -}}
{{- if lt $bytes (addf (float64 $coalesce.maxBytes) 150000000 $known) -}}
{{- fail (printf "resources.limits.memory: %s is less than coalesce.maxBytes, %d,%s and the 150 MB that the connector takes besides" $limit (int64 $coalesce.maxBytes) $and) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The same container for the connector, its init check and `helm test`: what passes there must hold here. */}}
{{- define "connector.container" -}}
image: {{ include "connector.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef:
      name: {{ include "connector.fullname" . }}
  {{- if include "connector.secretSettings" . | fromJson }}
  - secretRef:
      name: {{ include "connector.fullname" . }}
  {{- end }}
  {{- with .Values.secret.existingSecret }}
  - secretRef:
      name: {{ . }}
  {{- end }}
  {{- with .Values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if include "connector.mappingConfigMap" . }}
  - name: mapping
    mountPath: {{ include "connector.mappingFolder" . }}
    readOnly: true
  {{- end }}
  {{- if include "connector.tokenSchedule" . }}
  - name: renewed-token
    mountPath: /etc/target-token
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* What every pod has that runs with the connector's settings. */}}
{{- define "connector.pod" -}}
serviceAccountName: {{ include "connector.serviceAccountName" . }}
automountServiceAccountToken: false
{{- include "connector.podBase" . }}
  {{- if include "connector.tokenSchedule" . }}
  - name: renewed-token
    secret:
      secretName: {{ include "connector.tokenName" . }}
  {{- end }}
{{- end -}}

{{/* What every pod of the release has; last its volumes, to which its user may add. */}}
{{- define "connector.podBase" -}}
{{- /* A Service called "kafka" would inject KAFKA_PORT=tcp://… */}}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 16Mi
  {{- with include "connector.mappingConfigMap" . }}
  - name: mapping
    configMap:
      name: {{ . }}
      items:
        - {key: mapping.yaml, path: mapping.yaml}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Of the CronJob and of the Job alike: a run takes seconds, and some minutes in an outage. */}}
{{- define "connector.tokenJob" -}}
backoffLimit: 3
activeDeadlineSeconds: 900
{{- end -}}

{{/* The pod of `connector token`: its own settings, the right to its own Secret, and nothing of Kafka's. */}}
{{- define "connector.tokenPodTemplate" -}}
metadata:
  annotations:
    {{- /* Changed ones make another Job, which runs at once. */}}
    checksum/config: {{ include "connector.tokenSettings" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- merge (dict "app.kubernetes.io/component" "token") (include "connector.releaseLabels" . | fromYaml) .Values.podLabels .Values.commonLabels | toYaml | nindent 4 }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ include "connector.tokenName" . }}
  automountServiceAccountToken: true
  {{- include "connector.podBase" . | nindent 2 }}
  containers:
    - name: token
      image: {{ include "connector.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [token, --secret, {{ include "connector.tokenName" . }}, --renew-before, {{ .Values.token.renewBeforeSeconds | int64 | quote }}]
      {{- with .Values.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      envFrom:
        - configMapRef:
            name: {{ include "connector.tokenName" . }}-client
        {{- if .Values.target.tokenClientSecret }}
        - secretRef:
            name: {{ include "connector.tokenName" . }}-client
        {{- end }}
        {{- with .Values.token.existingSecret }}
        - secretRef:
            name: {{ . }}
        {{- end }}
      resources:
        requests: {cpu: 50m, memory: 96Mi, ephemeral-storage: 4Mi}
        limits: {memory: 192Mi, ephemeral-storage: 16Mi}
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}

{{/* Of a Deployment and a StatefulSet alike. */}}
{{- define "connector.podTemplate" -}}
metadata:
  annotations:
    kubectl.kubernetes.io/default-container: connector
    {{- /* A pod reads its variables and the mapping once: a change has to make new pods. */}}
    checksum/config: {{ include "connector.plainSettings" . | sha256sum }}
    checksum/secret: {{ include "connector.secretSettings" . | sha256sum }}
    {{- if .Values.event.mapping }}
    checksum/mapping: {{ include "connector.mappingText" . | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "connector.podLabels" . | nindent 4 }}
spec:
  {{- include "connector.pod" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "connector.terminationGracePeriodSeconds" . }}
  topologySpreadConstraints:
    {{- $selector := dict "matchLabels" (include "connector.selectorLabels" . | fromYaml) }}
    {{- $spread := .Values.topologySpreadConstraints }}
    {{- if kindIs "invalid" $spread }}
    {{- $spread = list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") }}
    {{- end }}
    {{- range $spread }}
    - {{- toYaml (merge (deepCopy .) (dict "labelSelector" $selector)) | nindent 6 }}
    {{- else }}
    []
    {{- end }}
  {{- if or .Values.initContainers .Values.initCheck.enabled }}
  initContainers:
    {{- with .Values.initContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if .Values.initCheck.enabled }}
    - name: check
      args: [check]
      {{- with .Values.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- include "connector.container" . | nindent 6 }}
    {{- end }}
  {{- end }}
  containers:
    - name: connector
      args: [run]
      {{- $static := eq (include "connector.staticMembership" .) "true" }}
      {{- if or $static .Values.extraEnv }}
      env:
        {{- if $static }}
        - name: KAFKA_GROUP_INSTANCE_ID
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- include "connector.container" . | nindent 6 }}
      ports:
        - name: ops
          containerPort: {{ .Values.ops.port }}
          protocol: TCP
      startupProbe:
        httpGet:
          path: /livez
          port: ops
        {{- toYaml .Values.startupProbe | nindent 8 }}
      livenessProbe:
        httpGet:
          path: /livez
          port: ops
        {{- toYaml .Values.livenessProbe | nindent 8 }}
      readinessProbe:
        httpGet:
          path: /readyz
          port: ops
        {{- toYaml .Values.readinessProbe | nindent 8 }}
    {{- with .Values.sidecars }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The endpoint that a PodMonitor and a ServiceMonitor describe alike. */}}
{{- define "connector.scrape" -}}
- port: ops
  path: /metrics
  interval: {{ .interval }}
  scrapeTimeout: {{ .scrapeTimeout }}
  {{- with .relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
